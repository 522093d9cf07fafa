"""Shows parts of the log in the terminal: progress, warnings and the reason of a failure.

A task's lines reach the terminal if they begin with "note: " or "warning: ".
"""

import io
import re
import sys
import threading
import time

DETERMINISTIC = ("InputError", "TrainingError")  # exit statuses that a retry would repeat
KILLED = (-9, 137)
COLOUR = re.compile(r"\x1b\[\d+m")


class Task(threading.local):
    """The task that runs in a thread; a loop runs two at a time."""

    name = line = ""
    failure = None  # kind of error, if this project raised it, and reason


class Console(io.TextIOBase):
    """Writes everything to the log, and progress, warnings and failures to the terminal.

    Args:
      log: Text stream.
      terminal: Text stream.
      total: Number of tasks.
      names: Display name of each task, by its name in the pipeline.
    """

    def __init__(self, log, terminal, total, names):
        self.log, self.terminal, self.total, self.names = log, terminal, total, names
        self.started = time.monotonic()
        self.count = 0
        self.failure = None  # of the first task that failed
        self.lock = threading.Lock()
        self.task = Task()

    def write(self, text):
        *lines, self.task.line = (self.task.line + text).split("\n")
        with self.lock:
            for line in lines:
                self.log.write(f"{line}\n")
                self.show(COLOUR.sub("", line).strip().rpartition("\r")[2])
        return len(text)

    def show(self, line):
        if match := re.match(r".*%\|.*?\]", line):  # a progress bar
            self.tell(match[0])
        elif match := re.search(r"Executing task '([\w-]+)'$", line):
            self.tell(self.begin(match[1]))
        elif match := re.search(r"Task ([\w-]+) cache hit", line):
            self.tell(f"{self.begin(match[1])}: done before")
        elif match := re.search(r"Task '[\w-]+' finished with status (SUCCESS|FAIL)", line):
            self.tell(f"{self.task.name}: {'done' if match[1] == 'SUCCESS' else 'FAILED'}")
        elif re.match(r"(note|warning): |resuming at step \d", line):
            self.tell(line)
        elif match := re.match(r"trainer\.errors\.(\w+): (.*)", line):
            self.task.failure = match.groups()
        elif match := re.match(r"[\w.]*(Error|Exception|Interrupt)\b.*", line):
            self.task.failure = self.task.failure or (None, match[0])

    def begin(self, name):
        """The display name of a task, with its number."""
        self.count += 1
        self.task.name = f"[{self.count}/{self.total}] {self.names.get(name, name)}"
        return self.task.name

    def tell(self, line):
        self.terminal.write(f"{time.monotonic() - self.started:5.0f} s  {line}\n")
        self.terminal.flush()

    def persistent(self, run, retries, backoff):
        """A function that runs a task, and retries it after a failure that may be random.

        Args:
          run: Function that runs a task in this thread. Returns its exit status.
          retries: Number of retries.
          backoff: Seconds before the first retry, then twice as long each time.
        """

        def run_with_retries(*arguments, **options):
            for number in range(retries + 1):
                self.task.failure = None
                status = run(*arguments, **options)
                if not status:
                    return status
                kind, reason = self.task.failure or (None, f"ended with status {status}")
                if status in KILLED:
                    reason = "was killed; memory may have run out"
                if number == retries or kind in DETERMINISTIC:
                    where = "" if kind else f"{self.task.name}: "
                    self.failure = self.failure or (kind, f"{where}{reason}")
                    return status
                delay = backoff * 2**number
                self.tell(f"{self.task.name}: failed, retry in {delay} s")
                time.sleep(delay)

        return run_with_retries

    def explain(self, error):
        """Says why a run failed. Returns the exit status."""
        kind, reason = self.failure or (None, COLOUR.sub("", str(error)))
        if not kind:
            reason += f"; the log is {self.log.name}"
        sys.stderr.write(f"error: {reason}\n")
        return 2 if kind == "InputError" else 1
