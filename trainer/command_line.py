"""Common parts of the command lines: flags from settings, help, one-line errors, exit status."""

import dataclasses
import re
import signal
import sys
import textwrap
import warnings

from absl import app, flags, logging

from trainer import quick
from trainer.errors import InputError, Preempted, RemoteError, TrainingError
from trainer.methods import METHODS
from trainer.settings import training
from trainer.settings.data import DataSettings
from trainer.settings.recipes import RECIPES
from trainer.training import configuration

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
HELP = ("--help", "-help", "--helpfull", "--helpshort", "-h", "-?")
WIDTH, INDENT = 100, 6


def setting_groups():
    """Settings by the class that owns them: {title: {name: field}}, general ones first."""
    groups = {}
    classes = (DataSettings, *(method.Settings for method in METHODS.values()))
    for owner, fields in (group for c in classes for group in training.groups(c)):
        title = owner.__doc__.splitlines()[0].rstrip(".")
        scope = [n for n, method in METHODS.items() if issubclass(method.Settings, owner)]
        if scope and len(scope) < len(METHODS) and [title.lower()] != scope:
            title += f" ({', '.join(scope)})"
        groups[title] = {field.name: field for field in fields}
    return groups


def help_of(field):
    """What a setting sets, its values or range, and its defaults, in a line."""
    text = configuration.meaning(field)
    recipes = RECIPES | {name: method.recipe for name, method in METHODS.items()}
    defaults = {} if field.default == "" else {field.default: ["default"]}
    for name, recipe in recipes.items():
        if field.name in recipe:
            defaults.setdefault(recipe[field.name], []).append(name)
    shown = "; ".join(f"{', '.join(names)} {value}" for value, names in defaults.items())
    return f"{text} ({shown})" if shown else text


SETTINGS = setting_groups()
for group in SETTINGS.values():
    for field in group.values():
        DEFINE[field.type](field.name, None, help_of(field))


def given(names):
    """Which of these flags the command line gives: {name: value}."""
    return {name: flags.FLAGS[name].value for name in names if flags.FLAGS[name].present}


def given_data():
    """The flags of `trainer.settings.data.DataSettings` that the command line gives."""
    return given(field.name for field in dataclasses.fields(DataSettings))


def given_training():
    """The flags of a training and its method that the command line gives."""
    return given(configuration.fields())


def check_for(command, scopes, prefix=""):
    """Raises InputError for a flag on the command line that this command does not use.

    Args:
      command: One of several commands or modes.
      scopes: The commands that use a flag, by the name of the flag.
      prefix: What precedes a command on the command line.
    """
    for name, scope in scopes.items():
        if flags.FLAGS[name].present and command not in scope:
            rule = f"is not for {prefix}{command}, but for {', '.join(scope)}"
            raise InputError(f"--{name}", rule, flags.FLAGS[name].value)


def help_page(doc, groups):
    """The text of --help: what the program does, the flags that matter most, then all flags.

    Args:
      doc: What the program does, and how to call it.
      groups: Names of its own flags by title, a "*" before those that matter most.
    """
    groups = groups | {
        title: [f"*{name}" if field.metadata["short"] else name for name, field in group.items()]
        for title, group in SETTINGS.items()
    }
    short = [name[1:] for names in groups.values() for name in names if name[0] == "*"]
    width = max(map(len, short)) + 2
    lines = [doc.strip(), "", "The flags that matter most:"]
    for name in short:
        lines.append(f"  --{name:{width}}{re.split('[:;(]', flags.FLAGS[name].help)[0].strip()}")
    for title, names in groups.items():
        lines += ["", f"{title}:"]
        lines += [line for name in names for line in flag_lines(name.lstrip("*"))]
    return "\n".join(lines) + "\n"


def flag_lines(name):
    flag = flags.FLAGS[name]
    values = "" if flag.boolean else f"={name.rpartition('_')[2].upper()}"
    prefix = "--[no]" if flag.boolean else "--"
    indent = " " * INDENT
    yield f"  {prefix}{name}{values}"
    yield from textwrap.wrap(
        flag.help, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False
    )


def run(main, doc, groups, expand=list):
    """Parses the flags and runs `main(positional arguments)`; errors become a line and a status.

    Args:
      main: The program.
      doc: As for `help_page`.
      groups: As for `help_page`.
      expand: Function from the command line, a list, to the one that is parsed.
    """
    for stream in (sys.stdout, sys.stderr):  # names of files are bytes, a terminal may be ASCII
        stream.reconfigure(errors="backslashreplace")
    if set(HELP) & set(sys.argv[1:]):
        sys.stdout.write(help_page(doc, groups))
        return
    quick.command()
    logging.set_verbosity(logging.WARNING)  # TFDS and TensorFlow log much that is no problem
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn about each other
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
