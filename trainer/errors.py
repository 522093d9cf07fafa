"""Exceptions that a command prints as one line."""

import re
import signal

LISTED = 20
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def printable(text):
    """Text as one line that every file can hold: line breaks and invalid UTF-8 are escaped."""
    return UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def listed(names):
    """Names with commas between them; of many names the first, and their number."""
    more = [f"... ({len(names)} in all)"] if len(names) > LISTED else []
    return ", ".join([*names[:LISTED], *more])


def counted(number, noun):
    """A number with its noun: 1 image, 2,000 images."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class InputError(ValueError):
    """Wrong input; the exit status is 2.

    Args:
      argument: Flag, argument or path that is wrong, as the user wrote it.
      rule: The rule that it breaks, and what to do.
      received: The value that arrived.
    """

    def __init__(self, argument: str, rule: str, received: object):
        super().__init__(argument, rule, received)

    def __str__(self):
        argument, rule, received = self.args
        return printable(f"{argument}: {rule}. Received: {received!r}")


class TrainingError(RuntimeError):
    """Training cannot continue; the exit status is 1."""


class WorkerLost(TrainingError):
    """Another worker of the same training has ended; this one can join it again after a restart."""


class RemoteError(RuntimeError):
    """Storage or a server does not answer, or answers wrongly; the exit status is 1."""


class Preempted(SystemExit):
    """A signal has ended the training, which has saved its state; the exit status is 128 + signal.

    It ends the process with this status wherever it is raised, also in a pipeline's task.

    Args:
      message: What happened, in one line.
      signum: Number of the signal.
      elsewhere: Whether another worker received the signal, and not this one.
    """

    def __init__(self, message, signum=signal.SIGTERM, elsewhere=False):
        super().__init__(128 + signum)
        self.message, self.elsewhere = message, elsewhere

    def __str__(self):
        return self.message
