"""Compiles a pipeline to the YAML file that a target runs."""

import functools
from pathlib import Path

from google.protobuf import json_format
from kfp import compiler

from components import images
from pipelines import sweep, training
from pipelines.launch.profiles import Profile
from trainer.errors import InputError

PIPELINES = {
    "training": training.pipeline,
    "sweep": sweep.pipeline,
}


def compile_pipeline(name, profile, path, defaults=None):
    """Writes the YAML file of a pipeline.

    Args:
      name: Name of the pipeline.
      profile: `pipelines.launch.profiles.Profile` of the machines.
      path: The file.
      defaults: Values by name that replace the defaults of parameters.

    Raises:
      InputError: The file cannot be written, or the images have no names.
    """
    if profile.target != "local":
        images.check()
    if not str(path).endswith((".yaml", ".yml")):
        raise InputError("--output", "must be the name of a YAML file, such as a.yaml", str(path))
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        compiler.Compiler().compile(
            PIPELINES[name](profile), str(path), pipeline_parameters=defaults
        )
    except OSError as error:
        raise InputError("--output", f"must be writable ({error.strerror})", str(path)) from error


def specification(name, profile):
    """The compiled pipeline, as a dictionary."""
    return json_format.MessageToDict(PIPELINES[name](profile).pipeline_spec)


@functools.cache
def definitions(name):
    """{parameter: {"parameterType", "description", ...}} of a pipeline, for any profile."""
    return specification(name, Profile())["root"]["inputDefinitions"]["parameters"]


def display_names(spec):
    """Display name of each task, by its name in a compiled pipeline."""
    dags = [spec["root"]["dag"], *(c["dag"] for c in spec["components"].values() if "dag" in c)]
    return {name: task["taskInfo"]["name"] for dag in dags for name, task in dag["tasks"].items()}
