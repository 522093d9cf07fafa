"""Runs a pipeline on this machine, with kfp's subprocess or Docker runner.

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
import signal
import sys
import threading
import time

import psutil
from google.protobuf import json_format
from kfp import compiler, local

from pipelines import docker_runner
from pipelines.compile import PIPELINES
from pipelines.parameters import with_file
from trainer import comparison
from trainer.errors import InputError

PATHS = (
    *("data", "trusted", "test", "noise_file", "imagenet_val", "tfds_data_dir"),
    "checkpoint_root",
)
FOUND = {
    "training": "**/evaluate/metrics/metrics.json",
    "webvision": "**/evaluate/metrics/metrics.json",
    "sweep": "**/compare-runs/summary/summary.json",
}
RESULTS = {"training": "metrics.json", "webvision": "metrics.json", "sweep": "summary.json"}


def run(name, profile, parameters, output_dir, runner="subprocess", gpus=None):
    """Runs a pipeline, shows its progress and ends with a table of its results.

    Args:
      name: Of the pipeline.
      profile: `pipelines.profiles.Profile` for this machine.
      parameters: Of the pipeline, from the command line.
      output_dir: `pathlib.Path` of the directory to write to.
      runner: subprocess or docker.
      gpus: For docker, how many GPUs training sees, or "all".

    Raises:
      InputError: A parameter is wrong, or `output_dir` cannot be written.
      SystemExit: A task failed; with status 2 if that was for wrong input, otherwise 1.
    """
    pipeline = PIPELINES[name](profile)
    spec = json_format.MessageToDict(pipeline.pipeline_spec)
    parameters, paths = absolute(with_file(parameters, spec))
    runner = choose(runner, spec, paths, gpus, profile)
    result = output_dir / RESULTS[name]
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        result.unlink(missing_ok=True)
        compiler.Compiler().compile(pipeline, str(output_dir / "pipeline.yaml"))
        log = open(output_dir / "log.txt", "w")  # noqa: SIM115, closed below
    except OSError as error:
        rule = f"must be writable ({error.strerror})"
        raise InputError("--output_dir", rule, str(output_dir)) from error
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    local.init(runner, pipeline_root=str(output_dir.resolve()))
    os.environ.setdefault("TQDM_MININTERVAL", "3")  # of the tasks: each change is a line here
    terminal = sys.stdout
    with log, Console(log, terminal) as console, contextlib.redirect_stdout(console):
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=console, force=True)
        try:
            pipeline(**parameters)
        except RuntimeError as error:
            sys.exit(console.explain(error))
    runs = sorted(directory for directory in output_dir.glob(f"{name}-*") if directory.is_dir())
    (found,) = runs[-1].glob(FOUND[name])
    shutil.copy(found, result)
    content = json.loads(result.read_text())
    table = comparison.table(content if name == "sweep" else comparison.collect([content]))
    terminal.write(f"\n{table}\n\noutputs: {output_dir}\n")  # kfp leaves `print` indented


def end(number, frame):
    """Ends the tasks and this process; kfp would wait for the tasks, and try them again."""
    docker_runner.end()
    for task in psutil.Process().children(recursive=True):
        task.terminate()
    os.write(2, f"error: ended by {signal.Signals(number).name}\n".encode())
    os._exit(128 + number)


def choose(runner, spec, paths, gpus, profile):
    """Kfp's runner of this name."""
    if runner == "subprocess":
        return local.SubprocessRunner(use_venv=False)
    executors = spec["deploymentSpec"]["executors"].values()
    names = {executor["container"]["image"] for executor in executors}
    return docker_runner.runner(names, paths, gpus, profile.shared_memory)


def absolute(parameters):
    """The parameters with absolute paths of what is on this machine, and the set of these."""
    paths = {
        name: os.path.abspath(value)
        for name, value in parameters.items()
        if name in PATHS and value and os.path.exists(value)
    }
    inner = parameters.get("dataset_settings", {})
    if inner:
        inner, inner_paths = absolute(inner)
        return parameters | paths | {"dataset_settings": inner}, {*paths.values(), *inner_paths}
    return parameters | paths, set(paths.values())


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
                self.show(line.strip().rpartition("\r")[2])
        return len(text)

    def show(self, line):
        if match := re.match(r".*%\|.*?\]", line):  # a progress bar
            self.tell(match[0])
        elif match := re.search(
            r"Task \S*'([\w-]+)'\S* finished with status \S*(SUCCESS|FAIL)", line
        ):
            self.tell(f"{match[1]}: {'done' if match[2] == 'SUCCESS' else 'FAILED'}")
        elif match := re.match(r"Task (\S+) failed .*Retrying in (\S+)s", line):
            self.tell(f"{match[1]}: again in {float(match[2]):.0f} s")
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
