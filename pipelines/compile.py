"""From a pipeline to the YAML that Kubeflow Pipelines runs."""

from pathlib import Path

from kfp import compiler

from pipelines.sweep import sweep
from pipelines.training import training
from trainer.errors import InputError

PIPELINES = {"training": training, "sweep": sweep}


def compile_pipeline(name, path):
    """Writes the YAML file of the pipeline called `name`."""
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        compiler.Compiler().compile(PIPELINES[name], str(path))
    except OSError as error:
        raise InputError("--output", f"must be writable ({error.strerror})", str(path)) from error
