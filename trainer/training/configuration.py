"""The settings of a training: those of every training and those of its method, in one object."""

import dataclasses

from trainer import backbones
from trainer.data import sources
from trainer.errors import InputError
from trainer.methods import METHODS
from trainer.networks import NETWORKS
from trainer.settings.fields import changed, check_choice
from trainer.settings.recipes import OF_IMAGES, ON_EMBEDDINGS, RECIPES
from trainer.settings.training import FinetuningSettings, TrainSettings

CHOICES = {"method": tuple(METHODS), "network_name": tuple(NETWORKS)}


def fields():
    """All settings of any method, {name: field}, general ones first."""
    return {
        field.name: field
        for method in METHODS.values()
        for field in dataclasses.fields(method.Settings)
    }


def meaning(field):
    """The meaning of a setting, with its values or range."""
    limits, text = field.metadata, field.metadata["help"]
    choices = CHOICES.get(field.name) or limits["choices"]
    if choices and not all(choice in text for choice in choices):
        text += f": {', '.join(choices)}"
    if (limits["low"], limits["high"]) == (0, 1) and "[0, 1]" not in text:
        text += ", in [0, 1]"
    return text


def resolve(dataset, **given):
    """The settings for a dataset: defaults, its recipe, the method's recipe, then given values.

    Args:
      dataset: Name of the source, such as `digits`.
      **given: Values by the name of the setting.

    Returns:
      An instance of the `Settings` of the method.

    Raises:
      InputError: An unknown dataset or setting, one of another method, or a value that its rule
        forbids.
    """
    sources.kind(dataset)
    recipe = RECIPES.get(dataset, {})
    name = given.get("method", recipe.get("method", TrainSettings.method))
    check_choice("method", name, tuple(METHODS))
    recipe = recipe | METHODS[name].recipe | {"method": name}
    for foreign in given.keys() - names_of(name):
        if scope := methods_with(foreign):
            rule = f"is for {', '.join(scope)}; --method is {name}"
            raise InputError(f"--{foreign}", rule, given[foreign])
    backbone = given.get("backbone", default_backbone(dataset))
    if backbone != backbones.AUTO:  # its candidates are checked one by one
        check_backbone(backbone, given)
        check_finetuning(backbone, given)
    if backbone not in (backbones.NONE, backbones.AUTO):
        recipe |= ON_EMBEDDINGS
    config = changed(METHODS[name].Settings(**those_of(name, recipe)), given)
    if backbone in (backbones.NONE, backbones.AUTO):
        check_choice("network_name", config.network_name, tuple(NETWORKS))
    if config.audit_fold >= 0 and config.audit_fold >= config.audit_folds:
        rule = f"must be below --audit_folds, which is {config.audit_folds}"
        raise InputError("--audit_fold", rule, config.audit_fold)
    return config


def default_backbone(dataset):
    """Name of the backbone of a dataset unless one is given."""
    return RECIPES.get(dataset, {}).get("backbone", TrainSettings.backbone)


def check_backbone(name, given):
    """Raises InputError for an unknown backbone, or a setting that means nothing with it."""
    if rule := backbones.name_rule(name):
        raise InputError("--backbone", rule, name)
    for setting, value in given.items():
        unused = setting.startswith("backbone_") and value != getattr(TrainSettings, setting)
        if name == backbones.NONE and unused:
            raise InputError(f"--{setting}", "is for a --backbone, which is none", value)
        if name != backbones.NONE and setting in OF_IMAGES and value != ON_EMBEDDINGS.get(setting):
            rule = f"is for networks that see images; --backbone={name} trains a head on embeddings"
            if setting == "image_size":
                rule += ", and --backbone_image_size is the side of the images that it takes"
            if "backbone" not in given:
                rule += "; --backbone=none trains a network"
            raise InputError(f"--{setting}", rule, value)


def check_finetuning(backbone, given):
    """Raises InputError for fine-tuning without a backbone, or a setting of it without it."""
    if given.get("finetune") and backbone == backbones.NONE:
        raise InputError("--finetune", "needs a --backbone, which is none", True)
    own = {field.name: field.default for field in dataclasses.fields(FinetuningSettings)}
    for setting, value in given.items():
        if setting in own and value != own[setting] and not given.get("finetune"):
            raise InputError(f"--{setting}", "is for --finetune", value)


def names_of(method):
    """Names of all settings of a method."""
    return {field.name for field in dataclasses.fields(METHODS[method].Settings)}


def check_scope(settings, methods):
    """Raises InputError for a setting of other methods than these."""
    for name, value in settings.items():
        scope = methods_with(name)
        if scope and not set(scope) & set(methods):
            rule = f"is for {', '.join(scope)}; --methods are {', '.join(methods)}"
            raise InputError(f"--{name}", rule, value)


def methods_with(name):
    """The methods that have a setting of this name."""
    return [method for method in METHODS if name in names_of(method)]


def those_of(method, settings):
    """`settings` without those that only other methods have; names of no method stay in."""
    check_choice("method", method, tuple(METHODS))
    own = names_of(method)
    return {k: v for k, v in settings.items() if k in own or not methods_with(k)}


def for_embedding(settings):
    """`settings` without those that mean nothing where images are embedded."""
    own = those_of("supervised", settings)
    return {name: value for name, value in own.items() if name not in OF_IMAGES}


def restored(values):
    """The settings of a run, from the values in its manifest."""
    return METHODS[values["method"]].Settings(**values)


def in_steps(config, epoch_steps):
    """`config` with `max_epoch` and `decay_epochs` converted to steps, if they are used."""
    if not config.max_epoch:
        return config
    decay = ",".join(str(int(epochs) * epoch_steps) for epochs in config.decay_epochs.split(","))
    config = dataclasses.replace(
        config, max_iteration=config.max_epoch * epoch_steps, decay_steps=decay
    )
    return dataclasses.replace(config, eval_freq=epoch_steps) if config.finetune else config


def check_probe(method, settings):
    """Raises InputError for a method that needs trusted images if there are to be none.

    Args:
      method: Its name.
      settings: `trainer.settings.data.DataSettings`.
    """
    asked = settings.probe_per_class or settings.probe_dataset_hold_ratio
    if METHODS[method].needs_probe and not asked:
        others = ", ".join(name for name in METHODS if not METHODS[name].needs_probe)
        rule = f"must be 1 or more for {method}; {others} need no trusted images"
        raise InputError("--probe_per_class", rule, settings.probe_per_class)
