"""What the command lines share: flags from the settings, one line per error, exit status 2."""

import dataclasses
import re
import signal
import sys
import warnings

from absl import app, flags, logging

from trainer.config import RECIPES, DataConfig, TrainConfig
from trainer.errors import InputError, Preempted, RemoteError, TrainingError

DEFINE = {
    bool: flags.DEFINE_boolean,
    float: flags.DEFINE_float,
    int: flags.DEFINE_integer,
    str: flags.DEFINE_string,
}

STATUS = {
    InputError: 2,
    flags.Error: 2,
    TrainingError: 1,
    RemoteError: 1,
}

for field in (*dataclasses.fields(DataConfig), *dataclasses.fields(TrainConfig)):
    choices = field.metadata["choices"]
    text = field.metadata["help"] + (f" (one of {', '.join(choices)})" if choices else "")
    if field.default != "":
        text += f"; default {field.default}"
    for dataset, recipe in RECIPES.items():
        if field.name in recipe:
            text += f", of {dataset} {recipe[field.name]}"
    DEFINE[field.type](field.name, None, text)


def given(config_class):
    """The settings of a class of `trainer.config` that stand on the command line, by name."""
    settings = (flags.FLAGS[field.name] for field in dataclasses.fields(config_class))
    return {flag.name: flag.value for flag in settings if flag.present}


def check_for(command, scopes, prefix=""):
    """Raises InputError for a flag on the command line that means nothing to this command.

    Args:
      command: One of several commands or modes.
      scopes: Those that a flag is for, by its name.
      prefix: What stands before a command on the command line.
    """
    for name, scope in scopes.items():
        if flags.FLAGS[name].present and command not in scope:
            rule = f"is not for {prefix}{command}, but for {', '.join(scope)}"
            raise InputError(f"--{name}", rule, flags.FLAGS[name].value)


def run(main, expand=list):
    """Parses the flags and runs `main(positional arguments)`; errors become a line and a status.

    Args:
      main: The program.
      expand: Function from the command line, a list, to that which is parsed.
    """
    for stream in (sys.stdout, sys.stderr):  # names of files are bytes, a terminal may be ASCII
        stream.reconfigure(errors="backslashreplace")
    logging.set_verbosity(logging.WARNING)  # TFDS and TensorFlow say much about what goes well
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of libraries about each other
    app.run(
        lambda argv: checked(main, argv[1:]),
        flags_parser=lambda argv: checked(
            lambda argv: flags.FLAGS(expand([with_underscores(a) for a in argv])), argv
        ),
    )


def with_underscores(argument):
    """--token-file=a-b as --token_file=a-b."""
    return re.sub(r"^--[\w-]+", lambda name: "--" + name[0][2:].replace("-", "_"), argument)


def checked(function, argv):
    try:
        return function(argv)
    except Preempted as ended:
        print(ended, file=sys.stderr)
        raise
    except KeyboardInterrupt:
        print("interrupted; the same command resumes", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except tuple(STATUS) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(next(status for kind, status in STATUS.items() if isinstance(error, kind)))
