"""Prints one line for Ctrl-C while a command is still being imported."""

import sys


def one_line(kind, error, traceback):
    """An excepthook; Python then ends with the status of SIGINT."""
    if kind is KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command resumes\n")
    else:
        sys.__excepthook__(kind, error, traceback)


if sys.argv[:1] == ["-m"]:  # as long as `python -m` looks for the module
    sys.excepthook = one_line
