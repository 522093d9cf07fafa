"""Parameters that are paths: absolute on this machine, local ones refused for a cluster."""

import os

from pipelines.parameters import PATHS
from trainer.errors import InputError


def absolute(parameters):
    """The parameters with absolute local paths, and the set of these paths."""
    found = {
        name: os.path.abspath(value)
        for name, value in parameters.items()
        if name in PATHS and value and os.path.exists(value)
    }
    if inner := parameters.get("dataset_settings"):
        inner, inner_paths = absolute(inner)
        return parameters | found | {"dataset_settings": inner}, {*found.values(), *inner_paths}
    return parameters | found, set(found.values())


def check_remote(parameters):
    """Raises InputError for a local path."""
    for path in sorted(absolute(parameters)[1]):
        rule = "must be where the cluster sees it, such as gs://<bucket>/<name>"
        raise InputError("path", rule, f"{path}, of this machine")
