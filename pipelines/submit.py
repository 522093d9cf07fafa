"""Submitting a pipeline to Kubeflow or Vertex AI, and following its run."""

import datetime
import functools
import sys
import tempfile
import time
from pathlib import Path

import yaml

from pipelines.compile import compile_pipeline
from pipelines.kubeflow import Kubeflow
from pipelines.parameters import absolute, with_file
from pipelines.vertex import Vertex
from trainer import storage
from trainer.errors import InputError, RemoteError

POLL = 10  # seconds
FAILURES = 30  # questions without an answer, one after another, until following ends
SERVERS = {
    "kubeflow": (Kubeflow, ("host", "token_file", "namespace", "timeout")),
    "vertex": (Vertex, ("project", "region", "timeout")),
}
ENDED = {"SUCCEEDED": 0, "FAILED": 1, "CANCELED": 1, "SKIPPED": 1}


def submit(name, profile, parameters, options):
    """Runs a pipeline on the target of a profile, or uploads it, and prints a link.

    Args:
      name: Of the pipeline.
      profile: `pipelines.profiles.Profile`.
      parameters: Of the pipeline, from the command line.
      options: Flags of the command line by name: host, namespace, token_file, experiment, project,
        region, pipeline_root, service_account, upload, wait, timeout.

    Returns:
      The exit status: that of the run if it is waited for.

    Raises:
      InputError: Something is wrong with the flags, or the server says so.
      RemoteError: The server does not answer.
    """
    server_type, keys = SERVERS[profile.target]
    server = server_type(*(options[key] for key in keys))
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    run_name = f"{name}-{stamp}"
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / f"{name}.yaml"
        compile_pipeline(name, profile, file)
        spec = next(yaml.safe_load_all(file.read_text()))
        parameters = with_file(parameters, spec)
        check_places(parameters)
        parameters |= checkpoint_root(profile, parameters, options["pipeline_root"], stamp)
        if options["upload"]:
            print(server.upload(file, run_name))
            return 0
        keys = ("experiment", "pipeline_root", "service_account")
        run = server.run(file, run_name, parameters, *(options[key] for key in keys))
    print(server.link(run), flush=True)
    return follow(functools.partial(server.state, run)) if options["wait"] else 0


def check_places(parameters):
    """Raises InputError for a path that is on this machine only."""
    for path in sorted(absolute(parameters)[1]):
        rule = "must be where the cluster sees it, such as gs://<bucket>/<name>"
        raise InputError("path", rule, f"{path}, of this machine")


def checkpoint_root(profile, parameters, pipeline_root, stamp):
    """Where checkpoints outlive a task, unless the profile has a volume for them.

    Another run of the same training goes on with them, but not where nothing is to be reused.
    """
    root = parameters["checkpoint_root"]
    if profile.workspace:
        if root:
            rule = "must not be given beside --workspace, which has the checkpoints"
            raise InputError("--checkpoint_root", rule, root)
        return {}
    if not root and storage.is_remote(pipeline_root or ""):
        root = f"{pipeline_root.rstrip('/')}/checkpoints"
    if not root and profile.retries:
        rule = (
            "must be a gs:// path or a directory on a volume, so that another attempt goes on;"
            " or give --workspace, or --retries=0"
        )
        raise InputError("--checkpoint_root", rule, root)
    return {"checkpoint_root": root if profile.cache or not root else f"{root}/{stamp}"}


def follow(state):
    """Prints the state of a run whenever it changes, to its end. Returns the exit status."""
    last, failures, started = None, 0, time.monotonic()
    while True:
        try:
            (now, reason), failures = state(), 0
        except RemoteError:
            failures += 1
            if failures > FAILURES:
                raise
            now, reason = last, None
        if now != last:
            print(f"{time.monotonic() - started:5.0f} s  {now}", flush=True)
            last = now
        if now in ENDED:
            if reason:
                print(f"error: {reason.splitlines()[0]}", file=sys.stderr)
            return ENDED[now]
        time.sleep(POLL)
