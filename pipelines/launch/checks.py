"""The rules for parameters of pipelines: those of the flags, also for what is inside of others."""

import dataclasses
import difflib

from pipelines.launch.parameters_file import typed
from trainer import config
from trainer.config import DataConfig, TrainConfig
from trainer.errors import InputError

RUN = {"method": str, "noise_ratio": float, "seed": int}  # an item of the parameter runs


def checked(parameters, forbidden):
    """The parameters of a pipeline, if they keep the rules; items of `runs` get their types.

    Args:
      parameters: By name, of the right types.
      forbidden: Names that must not be inside of `settings` and `dataset_settings`.

    Raises:
      InputError: One of them breaks a rule.
    """
    dataset, settings = parameters["dataset"], parameters["settings"]
    check_names("settings", settings, TrainConfig, forbidden)
    check_names("dataset_settings", parameters["dataset_settings"], DataConfig, forbidden)
    files = data_config(parameters)
    config.check_data(dataset, parameters["noise"], parameters.get("noise_ratio", 0.0), files)
    own = {name: parameters[name] for name in names(TrainConfig) if name in parameters}
    method = config.resolve(dataset, **settings | own).method
    if "runs" not in parameters:
        config.check_trusted(method, files)
        return parameters
    if not parameters["runs"]:
        raise InputError("--runs", "must have one run or more", [])
    runs = [checked_run(dataset, run, settings) for run in parameters["runs"]]
    for run in runs:
        config.check_trusted(run["method"], files)
    return parameters | {"runs": runs}


def data_config(parameters):
    """The `trainer.config.DataConfig` of a pipeline's parameters."""
    own = {name: parameters[name] for name in names(DataConfig) if name in parameters}
    return config.changed(DataConfig(), own | parameters["dataset_settings"])


def names(config_class):
    return [field.name for field in dataclasses.fields(config_class)]


def check_names(parameter, values, config_class, forbidden):
    """Raises InputError unless all names are settings of a class that are no parameters."""
    for name in values:
        if name in forbidden:
            rule = "must not have what is a parameter of a pipeline"
            raise InputError(f"--{parameter}", rule, name)
        if name not in names(config_class):
            close = difflib.get_close_matches(str(name), names(config_class), n=1)
            hint = f"the closest is {close[0]}" if close else "--help lists them"
            raise InputError(f"--{parameter}", f"must have names of settings; {hint}", name)


def checked_run(dataset, run, settings):
    """An item of the parameter runs, if it keeps the rules."""
    if not isinstance(run, dict) or set(run) != set(RUN):
        raise InputError("--runs", f"must have {', '.join(RUN)} in each run", run)
    run = {name: typed(f"runs: {name}", run[name], kind) for name, kind in RUN.items()}
    config.check_range("noise_ratio", run["noise_ratio"], 0, 1)
    config.resolve(dataset, **settings, method=run["method"], seed=run["seed"])
    return run
