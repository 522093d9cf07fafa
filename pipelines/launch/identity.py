"""What tells one run of a pipeline from another: all settings, whether they are given or not."""

import dataclasses

from trainer import config
from trainer.config import DataConfig, TrainConfig


def trainings(parameters):
    """The `TrainConfig` of each training of a pipeline, by its parameters."""
    source, settings = parameters.get("dataset", "webvisionmini"), parameters["settings"]
    own = [of_class(TrainConfig, run) for run in parameters.get("runs", [parameters])]
    return [config.resolve(source, **settings | each) for each in own]


def resolved(parameters):
    """The parameters of a pipeline with all settings as they hold, by recipe or default."""
    of_data, of_training = (of_class(each, parameters) for each in (DataConfig, TrainConfig))
    files = config.changed(DataConfig(), of_data | parameters.get("dataset_settings", {}))
    settings = {}
    for run in trainings(parameters):
        each = dataclasses.asdict(run)
        if "runs" in parameters:  # these say method and seed
            each = {
                f"{run.method}: {name}": value
                for name, value in each.items()
                if name not in ("method", "seed")
            }
        settings |= each
    others = {k: v for k, v in parameters.items() if k not in of_data | of_training}
    return others | {"dataset_settings": dataclasses.asdict(files), "settings": settings}


def of_class(config_class, parameters):
    """Those parameters that are settings of a class."""
    names = {field.name for field in dataclasses.fields(config_class)}
    return {name: value for name, value in parameters.items() if name in names}
