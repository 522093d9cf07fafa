"""The directory of a run: it belongs to one command, which resumes or repeats its run.

<output_dir>/
  run.json                the command, its tasks' directory, whether it has finished, the results
  <pipeline>-<time>/      the tasks' artifacts; a run that was cut off resumes there
  ...                     the results, replaced when a run has finished
"""

import datetime
import itertools
import json
import os
import shutil
from pathlib import Path

from trainer import artifacts, outputs
from trainer.outputs import Taken

RECORD = "run.json"
FLAG = "--output_dir"
SHOWN, WIDTH = 3, 60  # parameters in a message, and characters of each
STATES = {
    "new": "",
    "resumed": "the run in {} resumes",
    "repeated": "{} has the results of this command; they are replaced when it has finished again",
    "changed": "the run in {} starts anew: code or data differ, or --no_cache is given",
}


class OutputDirectory:
    """An output directory that only this process uses.

    Args:
      root: Its path.
      command: The pipeline and all its parameters, given or not, to which the directory belongs.
      version: Version of code and data; a run resumes only with the same version.
      read: Paths of its inputs, by the flag that names them.
      resume: Whether a run that was cut off may resume.

    Attributes:
      tasks: `pathlib.Path` of the directory of the tasks.
      state: One of `STATES`.

    Raises:
      Taken: It is in use, or holds something else.
      InputError: It cannot be written, or lies in the inputs.
    """

    def __init__(self, root, command, version, read, resume=True):
        self.root = root
        outputs.check_apart(FLAG, root, read)
        check(root, command)
        outputs.hold(root, FLAG)
        earlier = check(root, command)
        self.state, self.record = state(earlier, command, version, resume), earlier
        if self.state != "resumed":
            now = datetime.datetime.now().strftime("%Y-%m-%d-%H-%M-%S-%f")
            self.record = {
                "command": command,
                "version": version,
                "tasks": f"{command['pipeline']}-{now}",
                "files": earlier.get("files", {}),
                "artifacts": earlier.get("artifacts", {}),
            }
        self.tasks = root / self.record["tasks"]
        self.tasks.mkdir(exist_ok=True)
        self.write(state="running")

    def write(self, **facts):
        self.record |= facts
        artifacts.write_json(self.root / RECORD, self.record)

    def finish(self, results, made_artifacts):
        """Puts the results in their place; edited earlier results are kept beside them.

        Args:
          results: Path of each result by its name in this directory.
          made_artifacts: Path of each artifact by its kind.
        """
        for name, made in results.items():
            place = self.root / name
            if self.edited(place):
                outputs.set_aside(place)
            with outputs.replacing(place) as partial:
                (shutil.copytree if made.is_dir() else shutil.copy)(made, partial)
                if partial.is_file():
                    self.record["files"][name] = artifacts.fingerprint(partial)
        places = {kind: os.path.relpath(path, self.root) for kind, path in made_artifacts.items()}
        self.write(artifacts=places, state="finished")

    def edited(self, place):
        if place.is_dir():
            return any(artifacts.edited(place))
        return place.exists() and artifacts.fingerprint(place) != self.record["files"].get(
            place.name
        )


def state(earlier, command, version, resume):
    """How an earlier run is treated: one of `STATES`."""
    if not earlier or earlier["command"] != command:
        return "new"
    if earlier["state"] == "finished":
        return "repeated"
    return "resumed" if resume and earlier["version"] == version else "changed"


def check(root, command):
    """The record of a directory's run, empty if there is none; Taken if it is another run.

    A run that failed without results does not keep its directory.
    """
    try:
        earlier = json.loads((root / RECORD).read_text())
        differing = differences(earlier["command"], command)
        free = earlier["state"] == "failed" and not earlier["files"]
    except (FileNotFoundError, NotADirectoryError):
        if root.is_dir() and any(file.name != outputs.LOCK for file in root.iterdir()):
            rule = f"must be new or empty, or have the {RECORD} of the same run"
            raise Taken(FLAG, rule, str(root)) from None
        return {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        rule = f"holds a run of another kind, by its {RECORD}; name another directory"
        raise Taken(FLAG, rule, str(root)) from None
    if differing and not free:
        shown = ", ".join(differing[:SHOWN]) + (", ..." if len(differing) > SHOWN else "")
        raise Taken(FLAG, f"holds another run ({shown}); name another directory", str(root))
    return earlier


def differences(earlier, command):
    """Parameters of an earlier command that differ from this one's, such as seed=1."""
    earlier, command = flat(earlier), flat(command)
    names = [name for name in earlier | command if earlier.get(name) != command.get(name)]
    return [f"{name}={earlier.get(name, 'default')}"[:WIDTH] for name in names]


def flat(parameters):
    """Parameters by name, with nested ones at the same level."""
    inner = [value for value in parameters.values() if isinstance(value, dict)]
    outer = {name: value for name, value in parameters.items() if not isinstance(value, dict)}
    return outer | {name: value for each in inner for name, value in each.items()}


def default(name, **identity):
    """The first of runs/<name>, runs/<name>-2, ... that is free; prints why others are not.

    An unfinished run of the same command is preferred to a finished one.

    Args:
      name: Name of the pipeline.
      **identity: Arguments of `OutputDirectory` except the first.
    """
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    places = (Path("runs", each) for each in names)
    mine, reasons = [], {}
    for place in places:
        if not place.exists():
            break
        try:
            mine.append((check(place, identity["command"]).get("state") == "finished", place))
        except Taken as taken:
            reasons[place] = taken
    mine.sort(key=lambda found: found[0])
    candidates = itertools.chain((found for _, found in mine), [place], places)
    for place in candidates:
        try:
            found = OutputDirectory(place, **identity)
        except Taken as taken:
            reasons[place] = taken
            continue
        if Path("runs", name) in reasons:
            _, rule, first = reasons[Path("runs", name)].args
            print(f"{first} {rule.partition(';')[0]}; this run goes to {place}")
        return found
