"""Reads a YAML file of parameters, each of the type that the pipeline declares."""

from pathlib import Path

import yaml

from trainer.errors import InputError
from trainer.settings.fields import check_choice

TYPES = {
    "STRING": str,
    "NUMBER_INTEGER": int,
    "NUMBER_DOUBLE": float,
    "BOOLEAN": bool,
    "STRUCT": dict,
    "LIST": list,
}


def read(file, definitions):
    """The parameters in a file.

    Args:
      file: Its path.
      definitions: {parameter: {"parameterType", ...}} of the compiled pipeline.

    Raises:
      InputError: It holds no mapping, or a value without a parameter of this name and type.
    """
    content = mapping(file)
    for name in content:
        check_choice("parameter", name, tuple(definitions))
    return {
        name: typed(name, value, TYPES[definitions[name]["parameterType"]])
        for name, value in content.items()
    }


def mapping(file):
    """The mapping in a YAML file."""
    try:
        content = yaml.safe_load(Path(file).read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise InputError("--parameters", f"must be a YAML file ({reason})", file) from None
    if not isinstance(content, dict):
        raise InputError("--parameters", "must hold a mapping of names to values", content)
    return content


def typed(name, value, kind):
    """A value of this type; a whole number may be int or float."""
    if {kind, type(value)} == {int, float} and float(value).is_integer():
        return kind(value)
    if type(value) is not kind:
        raise InputError(f"--{name}", f"must be of type {kind.__name__}", value)
    return value
