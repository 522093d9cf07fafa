"""Directories of outputs: one process at a time, apart from the inputs, no edited file lost."""

import contextlib
import fcntl
import itertools
import json
import os
import shutil
import sys
from pathlib import Path

from trainer.errors import InputError

LOCK = ".lock"
WIDTH = 60  # characters of a setting in a message
held = []  # open until the process ends in any way, so that no lock outlives it


class Taken(InputError):
    """A directory is in use by another process, or belongs to another run."""


def hold(directory, argument):
    """Keeps other processes out of a directory until this one ends.

    Args:
      directory: The directory; it is made if it is not there.
      argument: Flag that names it.

    Raises:
      Taken: Another process uses it.
      InputError: It cannot be written.
    """
    try:
        Path(directory).mkdir(parents=True, exist_ok=True)
        file = open(Path(directory, LOCK), "a+")  # noqa: SIM115
    except OSError as error:
        raise InputError(
            argument, f"must be writable ({error.strerror})", str(directory)
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        rule = f"is in use by process {file.read() or '?'}; wait until it ends, or name another one"
        raise Taken(argument, rule, str(directory)) from None
    except OSError:  # a file system without locks
        pass
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    held.append(file)


def check_apart(argument, directory, inputs):
    """Raises InputError if an output directory is inside an input, Taken if an input is inside it.

    Args:
      argument: Flag that names the directory.
      directory: Its path.
      inputs: Paths by the flag that names them; "" and gs:// paths are ignored.
    """
    outputs = Path(directory).resolve()
    for flag, path in inputs.items():
        if not path or "://" in str(path):
            continue
        place = Path(path).resolve()
        if place.is_relative_to(outputs):
            raise Taken(argument, f"must not hold --{flag}, which is read", str(directory))
        if place.is_dir() and outputs.is_relative_to(place):
            raise InputError(argument, f"must not lie in --{flag}, which is read", str(directory))


def check_same_run(argument, directory, record, settings, free=()):
    """Raises Taken if an output directory holds a run with other settings than these.

    Args:
      argument: Flag that names the directory.
      directory: Its path.
      record: Name of the JSON file there that has the settings of its run, by name, nested or not;
        it may be missing.
      settings: Settings of this run, by name.
      free: Names of settings that may differ.

    Returns:
      Whether there is a record.

    Raises:
      Taken: It holds another run.
      InputError: The record cannot be read.
    """
    try:
        earlier = flat(json.loads(Path(directory, record).read_text()))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError, AttributeError) as error:
        rule = f"has an unreadable {record}, {error}"
        raise InputError(argument, rule, str(directory)) from error
    settings = flat(settings).items()
    names = [name for name, value in settings if name not in free and earlier.get(name) != value]
    if names:
        differing = ", ".join(f"{name}={earlier.get(name)}"[:WIDTH] for name in names)
        rule = f"holds another run ({differing}); name another directory"
        raise Taken(argument, rule, str(directory))
    return True


def flat(settings):
    """Settings by name, with nested ones at the same level."""
    found = {}
    for name, value in settings.items():
        found |= value if isinstance(value, dict) else {name: value}
    return found


def set_aside(path):
    """Renames a file or directory that somebody edited, to keep it, and prints a warning."""
    path = Path(path)
    names = itertools.chain(["edited"], (f"edited-{i}" for i in itertools.count(2)))
    kept = next(
        place
        for place in (path.with_name(f"{path.stem}.{name}{path.suffix}") for name in names)
        if not place.exists()
    )
    path.rename(kept)
    sys.stderr.write(f"warning: {path} was edited after it was written; it is kept as {kept}\n")


def write_text(path, content):
    """Writes a file so that readers see all of it or none; its directory is made if need be."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(content, encoding="utf-8")


@contextlib.contextmanager
def replacing(path):
    """A path beside another one, to write to; at the end it replaces the other one.

    A file is replaced in one step, so that readers see all of the old or all of the new file.
    """
    path = Path(path)
    partial, earlier = path.with_name(f"{path.name}.partial"), path.with_name(f"{path.name}.old")
    remove(partial)
    try:
        yield partial
    except BaseException:
        remove(partial)
        raise
    if path.is_dir():
        remove(earlier)
        path.rename(earlier)
    partial.replace(path)
    if earlier.is_dir():
        remove(earlier)


def remove(path):
    """Removes a file or a directory, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
