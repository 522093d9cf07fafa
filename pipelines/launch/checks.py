"""The rules for parameters of pipelines: those of the flags, also for nested values."""

import dataclasses
import difflib

from pipelines.launch.parameters_file import typed
from pipelines.parameters import OF_BACKBONE, has_backbone, has_choice
from trainer import backbones
from trainer.data import request
from trainer.errors import InputError
from trainer.settings.data import DataSettings
from trainer.settings.fields import changed, check_range
from trainer.training import candidates, configuration

OF_DATA = [field.name for field in dataclasses.fields(DataSettings)]
RUN = {"method": str, "noise_ratio": float, "seed": int}  # an item of the parameter runs


def checked(parameters, forbidden):
    """The parameters of a pipeline, if they keep the rules; items of `runs` get their types.

    Args:
      parameters: Values by name, of the correct types.
      forbidden: Names that must not be in `settings` and `dataset_settings`.

    Raises:
      InputError: One of them breaks a rule.
    """
    dataset, settings = parameters["dataset"], parameters["settings"]
    if has_choice(parameters) and "runs" in parameters:
        rule = "of a sweep must be one for all runs; auto is for --pipeline=training, which says"
        rule += f" what it chooses, {backbones.DEFAULT} or {backbones.NONE}"
        raise InputError("--backbone", rule, backbones.AUTO)
    check_names("settings", settings, configuration.fields(), forbidden)
    check_names("dataset_settings", parameters["dataset_settings"], OF_DATA, forbidden)
    files = data_config(parameters)
    request.check(dataset, parameters["noise"], parameters.get("noise_ratio", 0.0), files)
    if settings.get("finetune") and "runs" in parameters:
        raise InputError("--finetune", "is for --pipeline=training", True)
    if has_backbone(parameters) and parameters.get("use_imagenet_as_eval"):
        rule = f"is for networks without a backbone; --backbone is {parameters['backbone']}"
        raise InputError("--use_imagenet_as_eval", rule, True)
    if "runs" not in parameters:
        own = {name: parameters[name] for name in configuration.fields() if name in parameters}
        method = configuration.resolve(dataset, **settings | own).method
        if has_choice(parameters):
            backbones.check(backbones.DEFAULT, parameters.get("backbone_weights", ""))
            candidates.candidates(dataset, **settings | own)
        configuration.check_probe(method, files)
        return parameters
    if not parameters["runs"]:
        raise InputError("--runs", "must have one run or more", [])
    shared = settings | backbone_of(parameters)
    runs = [checked_run(dataset, run, shared) for run in parameters["runs"]]
    configuration.check_scope(settings, [run["method"] for run in runs])
    for run in runs:
        configuration.check_probe(run["method"], files)
    return parameters | {"runs": runs}


def backbone_of(parameters):
    """The settings of the backbone among the parameters of a pipeline, which may have none."""
    return {"backbone": backbones.NONE} | {
        name: parameters[name] for name in OF_BACKBONE if name in parameters
    }


def data_config(parameters):
    """The `trainer.settings.data.DataSettings` of a pipeline's parameters."""
    own = {name: parameters[name] for name in OF_DATA if name in parameters}
    return changed(DataSettings(), own | parameters["dataset_settings"])


def check_names(parameter, values, settings, forbidden):
    """Raises InputError unless all names are settings that are not parameters."""
    for name in values:
        if name in forbidden:
            rule = "must not have a parameter of the pipeline"
            raise InputError(f"--{parameter}", rule, name)
        if name not in settings:
            close = difflib.get_close_matches(str(name), settings, n=1)
            hint = f"the closest is {close[0]}" if close else "--help lists them"
            raise InputError(f"--{parameter}", f"must have names of settings; {hint}", name)


def checked_run(dataset, run, settings):
    """An item of the parameter runs, if it keeps the rules."""
    if not isinstance(run, dict) or set(run) != set(RUN):
        raise InputError("--runs", f"must have {', '.join(RUN)} in each run", run)
    run = {name: typed(f"runs: {name}", run[name], kind) for name, kind in RUN.items()}
    check_range("noise_ratio", run["noise_ratio"], 0, 1)
    own = configuration.those_of(run["method"], settings)
    configuration.resolve(dataset, **own, method=run["method"], seed=run["seed"])
    return run
