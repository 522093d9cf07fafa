"""From a pipeline to the YAML that a target runs."""

from pathlib import Path

from google.protobuf import json_format
from kfp import compiler

from pipelines import sweep, training, webvision
from trainer.errors import InputError

PIPELINES = {
    "training": training.pipeline,
    "sweep": sweep.pipeline,
    "webvision": webvision.pipeline,
}


def compile_pipeline(name, profile, path, defaults=None):
    """Writes the YAML file of a pipeline.

    Args:
      name: Of the pipeline.
      profile: `pipelines.launch.profiles.Profile` of the machines.
      path: The file.
      defaults: Parameters by name that have another default than the pipeline's own.

    Raises:
      InputError: The file cannot be written.
    """
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
