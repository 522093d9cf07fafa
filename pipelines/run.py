"""Runs a compiled pipeline on this machine, with kfp's subprocess runner.

<output_dir>/
  pipeline.yaml                    what was run
  log.txt                          all that kfp and the tasks said
  metrics.json or summary.json     the result, of a training or a sweep
  <pipeline>-<time>/<task>/...     the artifacts
"""

import contextlib
import io
import json
import logging
import os
import re
import shutil
import sys
import threading
import time

from kfp import components, local

from pipelines.compile import compile_pipeline
from trainer import comparison
from trainer.errors import InputError

RESULTS = {"training": "metrics.json", "sweep": "summary.json"}


def run(name, parameters, output_dir):
    """Runs a pipeline, shows its progress and ends with a table of its results.

    Args:
      name: Of the pipeline.
      parameters: Of the pipeline, already checked.
      output_dir: `pathlib.Path` of the directory to write to.

    Raises:
      InputError: `output_dir` cannot be written.
      SystemExit: A task failed; with status 2 if that was for wrong input, otherwise 1.
    """
    result = output_dir / RESULTS[name]
    pipeline_file = output_dir / "pipeline.yaml"
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        result.unlink(missing_ok=True)
        log = open(output_dir / "log.txt", "w")  # noqa: SIM115, closed below
    except OSError as error:
        rule = f"must be writable ({error.strerror})"
        raise InputError("--output_dir", rule, str(output_dir)) from error
    compile_pipeline(name, pipeline_file)
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(output_dir.resolve()))
    os.environ.setdefault("TQDM_MININTERVAL", "3")  # of the tasks: each change is a line here
    terminal = sys.stdout
    with log, Console(log, terminal) as console, contextlib.redirect_stdout(console):
        logging.getLogger().handlers = [logging.StreamHandler(console)]
        try:
            outputs = components.load_component_from_file(str(pipeline_file))(**parameters).outputs
        except RuntimeError as error:
            sys.exit(console.explain(error))
    shutil.copy(f"{outputs['Output'].path}/{result.name}", result)
    content = json.loads(result.read_text())
    table = comparison.table(content if name == "sweep" else comparison.collect([content]))
    terminal.write(f"\n{table}\n\noutputs: {output_dir}\n")  # kfp leaves `print` indented


class Console(io.TextIOBase):
    """Writes everything to the log, and to the terminal what a person waits for."""

    def __init__(self, log, terminal):
        self.log = log
        self.terminal = terminal
        self.started = time.monotonic()
        self.unfinished_line = ""
        self.error = self.reason = None
        self.lock = threading.Lock()  # two tasks of a loop run at a time

    def write(self, text):
        with self.lock:
            self.log.write(text)
            *lines, self.unfinished_line = (self.unfinished_line + text).split("\n")
            for line in lines:
                self.show(line.strip())
        return len(text)

    def show(self, line):
        if match := re.match(r".*%\|.*?\]", line):  # a progress bar
            self.tell(match[0])
        elif match := re.search(
            r"Task \S*'([\w-]+)'\S* finished with status \S*(SUCCESS|FAIL)", line
        ):
            self.tell(f"{match[1]}: {'done' if match[2] == 'SUCCESS' else 'FAILED'}")
        elif match := re.match(r"trainer\.errors\.(\w+): (.*)", line):
            self.error, self.reason = match.groups()

    def tell(self, line):
        self.terminal.write(f"{time.monotonic() - self.started:5.0f} s  {line}\n")
        self.terminal.flush()

    def explain(self, error):
        """Says why a run failed. Returns the exit status."""
        reason = self.reason or f"{error} All that was said is in {self.log.name}"
        sys.stderr.write(f"error: {reason}\n")
        return 2 if self.error == "InputError" else 1
