"""The exceptions that a command prints as one line."""


class InputError(ValueError):
    """Wrong input; the exit status is 2.

    Args:
      argument: Flag, argument or path that is wrong, as the user wrote it.
      rule: What it has to satisfy, and what to do about it.
      received: The value that arrived.
    """

    def __init__(self, argument: str, rule: str, received: object):
        super().__init__(argument, rule, received)

    def __str__(self):
        argument, rule, received = self.args
        return f"{argument}: {rule}. Received: {received!r}"


class TrainingError(RuntimeError):
    """Training cannot go on; the exit status is 1."""


class Preempted(RuntimeError):
    """Training was told to end and has saved its state; the exit status is 143, as of SIGTERM."""
