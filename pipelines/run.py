"""Runs a pipeline on this machine, with kfp's subprocess or Docker runner.

<output_dir>/
  pipeline.yaml                    what was run
  log.txt                          all that kfp and the tasks said
  metrics.json or summary.json     the result, of a training or a sweep
  report.html                      the same as a page; of a training also which labels look wrong
  label_issues.csv                 of a training, these labels as a table
  clean_manifest.csv               all labels after correction, a table to train on
  exported_model/                  of a training, the model to serve
  <pipeline>-<time>/<task>/...     the artifacts
"""

import contextlib
import json
import logging
import os
import shutil
import signal
import sys
from pathlib import Path

import psutil
from google.protobuf import json_format
from kfp import compiler, local

from pipelines import docker_runner
from pipelines.compile import PIPELINES
from pipelines.console import Console
from pipelines.parameters import absolute, with_file
from trainer import comparison, manifest
from trainer.errors import InputError

RESULTS = {
    "training": "**/metrics.json",
    "webvision": "**/metrics.json",
    "sweep": "**/summary.json",
}
# What is copied to where a person looks.
KEPT = {
    "report.html": "**/report",
    "label_issues.csv": "**/label_issues.csv",
    "clean_manifest.csv": "**/clean_manifest.csv",
    "exported_model": "**/exported_model",
}


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
    result = output_dir / Path(RESULTS[name]).name
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        for earlier in (result, *(output_dir / kept for kept in KEPT)):
            remove(earlier)
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
    content = {}
    for file in runs[-1].glob(RESULTS[name]):
        content |= json.loads(file.read_text())
    for kept, pattern in KEPT.items():
        for made in runs[-1].glob(pattern):
            copy = shutil.copytree if made.is_dir() else shutil.copy
            copy(made, output_dir / kept)
    manifest.write_json(result, content)
    table = comparison.table(content if name == "sweep" else comparison.collect([content]))
    terminal.write(f"\n{table}\n\noutputs: {output_dir}\n")  # kfp leaves `print` indented


def remove(path):
    """A file or directory, if it is there: what an earlier run made."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
