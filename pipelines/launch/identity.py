"""The identity of a run of a pipeline: all its settings, given or not."""

import dataclasses

from pipelines.launch.checks import backbone_of, data_config
from trainer.settings.data import DataSettings
from trainer.training import configuration


def trainings(parameters):
    """The settings of each training of a pipeline, by its parameters."""
    found = []
    for run in parameters.get("runs", [parameters]):
        own = {name: run[name] for name in configuration.fields() if name in run}
        own = configuration.those_of(run["method"], parameters["settings"]) | own
        own |= backbone_of(parameters)
        found.append(configuration.resolve(parameters["dataset"], **own))
    return found


def resolved(parameters):
    """The parameters of a pipeline with all settings, also those from recipes and defaults."""
    settings = {}
    for run in trainings(parameters):
        each = dataclasses.asdict(run)
        if "runs" in parameters:  # these have method and seed
            each = {
                f"{run.method}: {name}": value
                for name, value in each.items()
                if name not in ("method", "seed")
            }
        settings |= each
    inner = {*configuration.fields(), *(field.name for field in dataclasses.fields(DataSettings))}
    others = {name: value for name, value in parameters.items() if name not in inner}
    files = dataclasses.asdict(data_config(parameters))
    return others | {"dataset_settings": files, "settings": settings}
