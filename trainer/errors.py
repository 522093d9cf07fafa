"""The one exception that means the user's input was wrong."""


class InputError(ValueError):
    """Wrong input: commands print it as one line and exit with status 2.

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
