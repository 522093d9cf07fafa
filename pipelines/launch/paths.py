"""Parameters that are paths: absolute on this machine, local ones refused for a cluster."""

import os

from pipelines.parameters import PATHS
from trainer import backbones
from trainer.errors import InputError


def absolute(parameters):
    """The parameters with absolute local paths, and the set of these paths."""
    found, paths = {}, set()
    for name in PATHS & parameters.keys():
        value = parameters[name]
        path = backbones.place(value) if name == "backbone" else value
        if path and os.path.exists(path):
            paths.add(os.path.abspath(path))
            found[name] = value.removesuffix(path) + os.path.abspath(path)
    if inner := parameters.get("dataset_settings"):
        inner, inner_paths = absolute(inner)
        return parameters | found | {"dataset_settings": inner}, {*paths, *inner_paths}
    return parameters | found, paths


def check_remote(parameters):
    """Raises InputError for a local path."""
    for path in sorted(absolute(parameters)[1]):
        rule = "must be where the cluster sees it, such as gs://<bucket>/<name>"
        raise InputError("path", rule, f"{path}, of this machine")
