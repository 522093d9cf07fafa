"""Compiles a pipeline to the YAML file that a target runs."""

import functools
from pathlib import Path

from google.protobuf import json_format
from kfp import compiler

from components import images
from pipelines import sweep, training
from pipelines.launch.profiles import Profile
from pipelines.parameters import has_backbone, has_choice, has_finetuning
from trainer.errors import InputError

ANY_BACKBONE = {"backbone": ""}
PIPELINES = {
    "training": training.pipeline,
    "sweep": sweep.pipeline,
}


def built(name, profile, parameters):
    """A pipeline for the machines of a profile, with the tasks that its parameters ask for."""
    parameters = parameters or {}
    further = {"chosen": has_choice(parameters), "reviewed": bool(parameters.get("decisions"))}
    further = {name: True for name in further if further[name]}  # of one training alone
    return PIPELINES[name](profile, has_backbone(parameters), has_finetuning(parameters), **further)


def compile_pipeline(name, profile, path, defaults=None, parameters=None):
    """Writes the YAML file of a pipeline.

    Args:
      name: Name of the pipeline.
      profile: `pipelines.launch.profiles.Profile` of the machines.
      path: The file.
      defaults: Values by name that replace the defaults of parameters.
      parameters: Values by name that the pipeline will run with, if they are not `defaults`.

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
            built(name, profile, parameters or defaults),
            str(path),
            pipeline_parameters=defaults,
        )
    except OSError as error:
        raise InputError("--output", f"must be writable ({error.strerror})", str(path)) from error


def specification(name, profile, parameters=None):
    """The compiled pipeline, as a dictionary; see `built`."""
    return json_format.MessageToDict(built(name, profile, parameters).pipeline_spec)


@functools.cache
def definitions(name):
    """{parameter: {"parameterType", "description", ...}} of a pipeline, for any profile.

    Those of a backbone are among them.
    """
    return specification(name, Profile(), ANY_BACKBONE)["root"]["inputDefinitions"]["parameters"]


def display_names(spec):
    """Display name of each task, by its name in a compiled pipeline."""
    dags = [spec["root"]["dag"], *(c["dag"] for c in spec["components"].values() if "dag" in c)]
    return {name: task["taskInfo"]["name"] for dag in dags for name, task in dag["tasks"].items()}
