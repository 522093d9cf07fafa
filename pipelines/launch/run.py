"""Runs a pipeline on this machine, with kfp's subprocess or Docker runner.

<output_dir>/
  pipeline.yaml                    what was run
  log.txt                          the log of kfp and of the tasks
  metrics.json or summary.json     the result of a training or a sweep
  report.html                      the result as a page; of a training with label issues
  label_issues.csv                 of a training, the label issues as a table
  data_issues.csv                  of a training, the data issues as a table
  clean_manifest.csv               of a training, corrected labels, a table to train on
  exported_model/                  of a training, the model to serve
  run.json, <pipeline>-<time>/     see `pipelines.launch.output_directory`
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import signal
import sys
from pathlib import Path

import psutil
from google.protobuf import json_format
from kfp import compiler, local
from kfp.local import (
    docker_task_handler,
    executor_input_utils,
    logging_utils,
    subprocess_task_handler,
)

from pipelines.launch import docker_runner, ending, task_server
from pipelines.launch.checks import data_config
from pipelines.launch.compile import built, display_names
from pipelines.launch.console import Console
from pipelines.launch.identity import resolved, trainings
from pipelines.launch.output_directory import STATES, OutputDirectory, default
from pipelines.launch.paths import absolute
from pipelines.launch.progress import number_of_tasks
from pipelines.parameters import has_backbone, has_choice
from trainer import artifacts, backbones
from trainer.data import inputs
from trainer.report import provenance

RESULTS = {"training": "**/metrics.json", "sweep": "**/summary.json"}
# Further results that are copied to the output directory.
KEPT = {
    "pipeline.yaml": "pipeline.yaml",
    "report.html": "**/report",
    "report_pictures": "**/report_pictures",
    "label_issues.csv": "**/label_issues.csv",
    "data_issues.csv": "**/data_issues.csv",
    "clean_manifest.csv": "**/clean_manifest.csv",
    "exported_model": "**/exported_model",
}
ARTIFACTS = (artifacts.PREPARED_DATASET, artifacts.LABEL_AUDIT, artifacts.BACKBONE_CHOICE)
FINISHED = "finished"
GRACE = 10  # seconds that tasks may take to save a checkpoint


def run(name, profile, parameters, output_dir=None, runner="subprocess", gpus=None):
    """Runs a pipeline, shows its progress and prints its results.

    Args:
      name: Name of the pipeline.
      profile: `pipelines.launch.profiles.Profile` for this machine.
      parameters: Parameters of the pipeline, from `pipelines.launch.parameters.resolve`.
      output_dir: `pathlib.Path` of the directory to write to; one below runs/ unless given.
      runner: subprocess or docker.
      gpus: For docker, how many GPUs training sees, or "all".

    Raises:
      InputError: A parameter is wrong, or `output_dir` cannot be written.
      SystemExit: A task failed; with status 2 if that was for wrong input, otherwise 1.
    """
    pipeline, spec = built_here(name, profile, parameters)
    if has_backbone(parameters) and not has_choice(parameters):
        backbones.check(parameters["backbone"], parameters.get("backbone_weights", ""))
    parameters, paths = absolute(parameters)
    seen = inputs.check(
        parameters["dataset"], data_config(parameters), parameters["noise"], trainings(parameters)
    )
    kfp_runner = choose(runner, spec, paths, gpus, profile)
    directory = claim(name, parameters, [spec, seen, runner], output_dir, resume=profile.cache)
    directory.write(parameters=parameters, runner=runner)  # a review runs them again
    place(kfp_runner, directory, profile.cache)
    carry_out(pipeline, spec, parameters, directory, profile, runner)
    content, places = conclude(name, directory)
    sys.stdout.write(ending.say(name, directory.root, content, places))


def built_here(name, profile, parameters):
    """A pipeline for this machine, and its specification; a signal ends the run from here on."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    # Within a run kfp reuses what is finished; the retries are those of `Console.persistent`.
    local_profile = dataclasses.replace(profile, cache_training=profile.cache, retries=0)
    pipeline = built(name, local_profile, parameters)
    return pipeline, json_format.MessageToDict(pipeline.pipeline_spec)


def carry_out(pipeline, spec, parameters, directory, profile, runner):
    """Writes down the pipeline, and runs its tasks."""
    end_left_behind(directory.tasks, runner)
    compiler.Compiler().compile(pipeline, str(directory.tasks / "pipeline.yaml"))
    execute(pipeline, spec, parameters, directory, profile, runner)


def claim(name, parameters, made_of, output_dir, resume):
    """The directory of the run, which only this process uses.

    Args:
      name: Name of the pipeline.
      parameters: Parameters of the pipeline.
      made_of: Code and data of the run, as JSON. A run resumes only with the same ones.
      output_dir: Its path; one below runs/ unless given.
      resume: Whether a run that was cut off may resume.
    """
    identity = {
        "command": json.loads(json.dumps({"pipeline": name, **resolved(parameters)})),
        "version": hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest(),
        "read": {flag: parameters.get(flag) for flag in inputs.READ},
        "resume": resume,
    }
    directory = OutputDirectory(output_dir, **identity) if output_dir else default(name, **identity)
    if directory.state != "new":
        print(STATES[directory.state].format(directory.root), flush=True)
    return directory


def place(kfp_runner, directory, cache):
    """Tells kfp where tasks run and write: in the same place as in earlier tries."""
    workspace = directory.tasks / "workspace"
    workspace.mkdir(exist_ok=True)
    executor_input_utils.get_local_pipeline_resource_name = lambda _: directory.tasks.name
    local.init(
        kfp_runner,
        pipeline_root=str(directory.root.resolve()),
        workspace_root=str(workspace.resolve()),
        enable_caching=cache,
        cache_root=str(directory.tasks / FINISHED),
    )


def execute(pipeline, spec, parameters, directory, profile, runner):
    """Runs the tasks; SystemExit if one fails."""
    total, names = number_of_tasks(spec, parameters), display_names(spec)
    os.environ.setdefault("TQDM_MININTERVAL", "3")  # of the tasks: each change is a line here
    os.environ[provenance.COMMAND] = provenance.command()  # for the report
    os.environ["PYTHONIOENCODING"] = "utf-8:backslashreplace"  # kfp ends at a line it cannot decode
    warm = runner == "subprocess"
    started = task_server.started(directory.tasks.resolve()) if warm else contextlib.nullcontext()
    with (
        open(directory.root / "log.txt", "a", 1, "utf-8", "backslashreplace") as log,
        Console(log, sys.stdout, total, names) as console,
        started as run_local_subprocess,
        contextlib.redirect_stdout(console),
    ):
        log_to(console)
        for handler, function, warm_task in (
            (subprocess_task_handler, "run_local_subprocess", run_local_subprocess),
            (docker_task_handler, "run_docker_container", None),
        ):
            run_task = warm_task or getattr(handler, function)
            retried = console.persistent(run_task, profile.retries, profile.backoff)
            setattr(handler, function, retried)
        try:
            pipeline(**parameters)
        except RuntimeError as error:
            directory.write(state="failed")
            if directory.record["files"]:
                console.tell(f"the results in {directory.root} are those of an earlier run")
            sys.exit(console.explain(error))


def log_to(console):
    """Makes the console hear all that kfp says, from all threads.

    Around each task kfp takes away the handlers of the root logger, and replaces `print`. Where two
    tasks run at a time, lines in between would be lost, and `print` would stay replaced.
    """
    form = "%(asctime)s - %(levelname)s - %(message)s"
    logging.basicConfig(
        level=logging.INFO, format=form, datefmt="%H:%M:%S", stream=console, force=True
    )
    logging_utils.local_logger_context = contextlib.nullcontext
    logging_utils.indented_print = contextlib.nullcontext


def conclude(name, directory, earlier=None):
    """Puts the results into the output directory.

    Args:
      name: Name of the pipeline.
      directory: The `OutputDirectory`.
      earlier: Paths of artifacts by kind, for those that the run has not made anew.

    Returns:
      The metrics or the summary, and paths of artifacts by kind.
    """
    content = {}
    for file in directory.tasks.glob(RESULTS[name]):
        content |= json.loads(file.read_text())
    result = directory.tasks / f"{name}.json"
    artifacts.write_json(result, content)
    found = {kept: sorted(directory.tasks.glob(pattern)) for kept, pattern in KEPT.items()}
    results = {Path(RESULTS[name]).name: result} | {
        kept: made[0] for kept, made in found.items() if made
    }
    places = dict(earlier or {})
    for kind in ARTIFACTS:
        for made in sorted(directory.tasks.glob(f"**/{kind}/{artifacts.MANIFEST}"))[:1]:
            places[kind] = made.parent
    directory.finish(results, places)
    return content, places


def end(number, frame):
    """Ends the tasks, which may save a checkpoint, and this process; at once the second time."""
    for handled in (signal.SIGINT, signal.SIGTERM):
        signal.signal(handled, lambda *_: os._exit(128 + number))
    docker_runner.end()
    end_all(psutil.Process().children(recursive=True), GRACE)
    os.write(2, b"interrupted; the same command resumes\n")
    os._exit(128 + number)


def end_all(processes, grace):
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(processes, timeout=grace)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def end_left_behind(tasks, runner):
    """Ends the tasks of a killed run, which still write to the same directory."""
    place = str(tasks.resolve())
    if runner == "docker":
        docker_runner.end_left_behind(place)
    end_all(
        [
            process
            for process in psutil.process_iter(["cmdline"])
            if place in (words := " ".join(process.info["cmdline"] or ()))
            and ("kfp.dsl.executor_main" in words or task_server.MODULE in words)
        ],
        GRACE,
    )


def choose(runner, spec, paths, gpus, profile):
    """Kfp's runner of this name."""
    if runner == "subprocess":
        return local.SubprocessRunner(use_venv=False)
    executors = spec["deploymentSpec"]["executors"].values()
    names = {executor["container"]["image"] for executor in executors}
    return docker_runner.runner(names, paths, gpus, profile.shared_memory)
