"""Follows a run on a cluster, and prints its changes until it ends."""

import sys
import time

from trainer.errors import RemoteError

POLL = 10  # seconds
PATIENCE = 60  # seconds that a task waits until the reason is printed
FAILURES = 30  # requests without an answer, one after another, until following ends
ENDED = {"SUCCEEDED": 0, "FAILED": 1, "CANCELED": 1, "SKIPPED": 1}


class Following:
    """Prints what changes in a run: its state, and each task as it starts, waits and ends.

    Args:
      server: `Kubeflow` or `Vertex`.
      run: What its `run` returned.
      names: Display name of each task, by its name in the pipeline.
    """

    def __init__(self, server, run, names):
        self.server, self.run, self.names = server, run, names
        self.started = time.monotonic()
        self.state, self.states, self.waiting, self.explained = None, {}, {}, set()

    def to_the_end(self, minutes):
        """Follows the run until it ends. Returns the exit status.

        Args:
          minutes: Minutes after which it stops following, while the run continues; 0 for never.

        Raises:
          RemoteError: The server has failed to answer too often, or the time is over.
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
                rule = f"--wait_minutes={minutes:g} have passed; the run continues"
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
            self.show_task(task)
        if not tasks and state not in ENDED:
            self.explain("no task has started yet", since=0)

    def show_task(self, task):
        """Prints the state of a task when it changes, and why it waits or has failed."""
        name = ", ".join(filter(None, (self.names.get(task.name, task.name), task.part)))
        if task.state != self.states.get(task.id):
            self.states[task.id], self.waiting[task.id] = task.state, self.seconds
            if task.state != "PENDING":
                self.tell(f"{name}: {task.state}{in_brackets(task.reason)}")
            if task.state == "FAILED" and task.pod:
                for line in self.server.last_lines(self.run, task):
                    self.tell(f"  {line}")
        if task.state == "PENDING" or (task.state == "RUNNING" and task.reason):
            reason = task.reason or f"no reason given; {self.server.where(task)}"
            self.explain(f"{name}: waits{in_brackets(reason)}", self.waiting[task.id])

    def explain(self, line, since):
        """Prints a line once, after its reason has lasted for some time."""
        if self.seconds - since > PATIENCE and line not in self.explained:
            self.explained.add(line)
            self.tell(line)

    def tell(self, line):
        print(f"{self.seconds:5.0f} s  {line}", flush=True)


def in_brackets(reason):
    return f" ({reason.splitlines()[0]})" if reason else ""
