"""From a pipeline to the YAML that a target runs."""

from pathlib import Path

from kfp import compiler

from pipelines import sweep, training, webvision
from trainer.errors import InputError

PIPELINES = {
    "training": training.pipeline,
    "sweep": sweep.pipeline,
    "webvision": webvision.pipeline,
}


def compile_pipeline(name, profile, path):
    """Writes the YAML file of the pipeline called `name`, for the machines of a profile."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        compiler.Compiler().compile(PIPELINES[name](profile), str(path))
    except OSError as error:
        raise InputError("--output", f"must be writable ({error.strerror})", str(path)) from error
