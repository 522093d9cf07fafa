"""Settings: dataclass fields with a help text and a rule for their values."""

import dataclasses
import math

from trainer.errors import InputError


def setting(
    default, help, *, choices=None, low=None, high=None, rule=None, path=False, short=False
):
    """A dataclass field with its text for `--help` and the values it may have.

    Args:
      default: Its default.
      help: What it sets, with unit or range.
      choices: The values it may have, where they are few.
      low: Lowest number it may be.
      high: Highest number it may be.
      rule: Function from a value to the rule that it breaks, "" if none.
      path: Whether it is a path.
      short: Whether `--help` lists it among the flags that matter most.
    """
    limits = {"choices": choices, "low": low, "high": high, "rule": rule}
    facts = {"help": help, "path": path, "short": short}
    return dataclasses.field(default=default, metadata=facts | limits)


def changed(settings, values):
    """Settings with other values of some fields, checked by their rules.

    Args:
      settings: Instance of a dataclass made of `setting` fields.
      values: Values by the name of the field. Whole floats become integers, because JSON does not
        distinguish them.

    Raises:
      InputError: An unknown setting, or a value that its rule forbids.
    """
    fields = {field.name: field for field in dataclasses.fields(settings)}
    for name in values:
        check_choice("setting", name, tuple(fields))
    return dataclasses.replace(
        settings, **{name: checked(fields[name], value) for name, value in values.items()}
    )


def checked(field, value):
    """`value` in the type of `field`; InputError if the field's rule forbids it."""
    argument, limits = f"--{field.name}", field.metadata
    try:
        typed = field.type(value)
    except (TypeError, ValueError):
        typed = None
    if typed is None or typed != value:
        raise InputError(argument, f"must be of type {field.type.__name__}", value)
    if limits["choices"]:
        check_choice(field.name, value, limits["choices"])
    check_range(field.name, typed, limits["low"], limits["high"])
    if limits["rule"] and (rule := limits["rule"](typed)):
        raise InputError(argument, rule, value)
    return typed


def check_choice(name, value, choices):
    if value not in choices:
        raise InputError(f"--{name}", f"must be one of {', '.join(choices)}", value)


def check_range(name, value, low=None, high=None):
    # "not (a <= b)" so that NaN fails
    if low is not None and not low <= value < math.inf:
        raise InputError(f"--{name}", f"must be {low} or more", value)
    if high is not None and not value <= high:
        raise InputError(f"--{name}", f"must be {high} or less", value)
