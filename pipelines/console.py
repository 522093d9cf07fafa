"""What a person sees of a run: progress and the reason of a failure, out of all that is said."""

import io
import re
import sys
import threading
import time


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
