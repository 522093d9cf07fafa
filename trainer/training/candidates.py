"""What `--backbone=auto` chooses between: the settings of each candidate, the cheapest first."""

import dataclasses
import math

from trainer import backbones
from trainer.errors import InputError
from trainer.settings.recipes import OF_IMAGES
from trainer.settings.training import BackboneSettings, FinetuningSettings
from trainer.training import configuration

EMBEDDINGS, FINETUNING, SCRATCH = "embeddings", "fine-tuning", "scratch"
SHARE = 1 / 4  # of its steps that a network from scratch takes in the comparison at first
OF_BACKBONE, OF_FINETUNING = (
    {field.name for field in dataclasses.fields(owner)}
    for owner in (BackboneSettings, FinetuningSettings)
)


def candidates(dataset, **given):
    """The settings of each candidate, by its name; each takes those that mean something to it.

    Args:
      dataset: Name of the source.
      **given: Values by the name of the setting, as for `configuration.resolve`.

    Raises:
      InputError: As `configuration.resolve`.
    """
    if given.get("finetune"):
        rule = f"needs a --backbone by name, such as {backbones.DEFAULT}; auto decides for itself"
        raise InputError("--finetune", rule, True)
    pretrained = without(given, OF_IMAGES) | {"backbone": backbones.DEFAULT}
    choices = {
        EMBEDDINGS: without(pretrained, OF_FINETUNING),
        FINETUNING: pretrained | {"finetune": True},
        SCRATCH: without(given, OF_BACKBONE | OF_FINETUNING) | {"backbone": backbones.NONE},
    }
    return {name: configuration.resolve(dataset, **own) for name, own in choices.items()}


def without(values, names):
    return {name: value for name, value in values.items() if name not in names}


def budgets(name, config):
    """The settings of a candidate in the comparison, by the share of its steps, the smallest first.

    Nothing is kept to calibrate, and only the last step is tested.
    """
    whole = dataclasses.replace(config, calibration_per_class=0, eval_freq=config.max_iteration)
    if name != SCRATCH:
        return {1: whole}
    steps = max(1, math.ceil(config.max_iteration * SHARE))
    epochs = math.ceil(config.max_epoch * SHARE)
    return {SHARE: dataclasses.replace(whole, max_iteration=steps, max_epoch=epochs), 1: whole}


def check_one_worker(count):
    """Raises InputError where several workers would train together."""
    if count > 1:
        rule = f"is for one worker; with {count}, name one: {backbones.DEFAULT} or {backbones.NONE}"
        raise InputError("--backbone", rule, backbones.AUTO)
