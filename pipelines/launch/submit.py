"""Submitting a pipeline to Kubeflow or Vertex AI, and following its run."""

import datetime
import sys
import tempfile
import time
from pathlib import Path

import yaml

from pipelines.launch.compile import compile_pipeline
from pipelines.launch.kubeflow import Kubeflow
from pipelines.launch.parameters import absolute, check, with_file
from pipelines.launch.vertex import Vertex
from trainer import storage
from trainer.errors import InputError, RemoteError

POLL = 10  # seconds
PATIENCE = 60  # seconds that a task may wait until it is said why
FAILURES = 30  # questions without an answer, one after another, until following ends
SERVERS = {
    "kubeflow": (Kubeflow, ("host", "token_file", "namespace", "timeout", "ca_file")),
    "vertex": (Vertex, ("project", "region", "timeout")),
}
ENDED = {"SUCCEEDED": 0, "FAILED": 1, "CANCELED": 1, "SKIPPED": 1}


def submit(name, profile, parameters, options):
    """Runs a pipeline on the target of a profile, or uploads it, and prints a link.

    Args:
      name: Of the pipeline.
      profile: `pipelines.launch.profiles.Profile`.
      parameters: Of the pipeline, from the command line.
      options: Flags of the command line by name: host, namespace, token_file, experiment, project,
        region, pipeline_root, service_account, upload, wait, wait_minutes, timeout, ca_file.

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
        parameters = check(name, with_file(parameters, spec))
        check_places(parameters)
        parameters |= checkpoint_root(profile, parameters, options["pipeline_root"], stamp)
        if options["upload"]:
            print(server.upload(file, run_name))
            return 0
        keys = ("experiment", "pipeline_root", "service_account")
        run = server.run(file, run_name, parameters, *(options[key] for key in keys))
    print(server.link(run), flush=True)
    return Following(server, run).to_the_end(options["wait_minutes"]) if options["wait"] else 0


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


class Following:
    """Prints what changes in a run: its state, and each task as it starts, waits and ends.

    Args:
      server: `Kubeflow` or `Vertex`.
      run: What its `run` returned.
    """

    def __init__(self, server, run):
        self.server, self.run, self.started = server, run, time.monotonic()
        self.state, self.states, self.waiting, self.explained = None, {}, {}, set()

    def to_the_end(self, minutes):
        """Follows the run until it ends. Returns the exit status.

        Args:
          minutes: After these it gives up, and the run goes on; 0 for never.

        Raises:
          RemoteError: The server has not answered many times, or the time is over.
        """
        failures = 0
        while True:
            try:
                (state, reason, tasks), failures = self.server.progress(self.run), 0
            except RemoteError:
                failures += 1
                if failures > FAILURES:
                    raise
            else:
                self.show(state, tasks)
                if state in ENDED:
                    if reason:
                        print(f"error: {reason.splitlines()[0]}", file=sys.stderr)
                    return ENDED[state]
            if 0 < minutes <= self.seconds / 60:
                rule = f"--wait_minutes={minutes:g} are over; the run goes on"
                raise RemoteError(f"{rule} at {self.server.link(self.run)}")
            time.sleep(POLL)

    @property
    def seconds(self):
        return time.monotonic() - self.started

    def show(self, state, tasks):
        """Prints what is new."""
        if state != self.state:
            self.tell(state)
            self.state = state
        for task in tasks:
            if task.state != self.states.get(task.id):
                self.states[task.id], self.waiting[task.id] = task.state, self.seconds
                if task.state != "PENDING":
                    self.tell(f"{task.name}: {task.state}{in_brackets(task.reason)}")
                if task.state == "FAILED" and task.pod:
                    for line in self.server.last_lines(self.run, task):
                        self.tell(f"  {line}")
            if task.state == "PENDING" or (task.state == "RUNNING" and task.reason):
                reason = task.reason or f"no reason given; {self.server.where(task)}"
                self.explain(f"{task.name}: waits{in_brackets(reason)}", self.waiting[task.id])
        if not tasks and state not in ENDED:
            self.explain("no task has started yet", since=0)

    def explain(self, line, since):
        """Says a line once, if what it tells of has lasted for long."""
        if self.seconds - since > PATIENCE and line not in self.explained:
            self.explained.add(line)
            self.tell(line)

    def tell(self, line):
        print(f"{self.seconds:5.0f} s  {line}", flush=True)


def in_brackets(reason):
    return f" ({reason.splitlines()[0]})" if reason else ""
