"""Fine-tuning: a run that trains the backbone and the head, from a head trained on embeddings."""

import dataclasses
from pathlib import Path

import keras

from trainer import artifacts, backbones, networks
from trainer.backbones import fetch
from trainer.backbones.embed import OF_BACKBONE
from trainer.backbones.loaded import FEATURES
from trainer.errors import InputError
from trainer.methods import METHODS
from trainer.networks import fine_tuned
from trainer.settings.training import FinetuningSettings

NETWORK = "network.json"  # in the checkpoints: the layers, without weights
SETTINGS = {
    "network_name": networks.FINE_TUNED,
    "optimizer": "momentum",
    "momentum": 0.9,
    "clip_norm": 1.0,
    "lr_schedule": "cosine_one",
    "warmup_epochs": 0,
    "ema_decay": 0.99,
}


def of_head(config):
    """The settings of the training of the head, from those of both trainings."""
    return dataclasses.replace(
        config, **{field.name: field.default for field in dataclasses.fields(FinetuningSettings)}
    )


def of_both(head, config):
    """The settings of both trainings, from those of each."""
    own = {
        field.name: getattr(config, field.name) for field in dataclasses.fields(FinetuningSettings)
    }
    return dataclasses.replace(head, **own)


def of_finetuning(config):
    """The settings of the fine-tuning, from those of both trainings.

    A network that sees two sizes makes the smaller copy itself, of images as they were embedded.
    """
    two_sizes = backbones.sees_two_sizes(config.backbone)
    return dataclasses.replace(
        config,
        **SETTINGS | METHODS[config.method].finetuning,
        image_size=0 if two_sizes else config.finetune_image_size,
        max_epoch=config.finetune_epochs,
        batch_size=config.finetune_batch_size,
        learning_rate=config.finetune_learning_rate,
    )


def read_start(config, manifests, backbone_path, head_path):
    """The manifests of backbone and head, by kind; InputError unless they fit the run.

    Args:
      config: `trainer.settings.training.TrainSettings` of the fine-tuning.
      manifests: Those of the data, by kind.
      backbone_path: Directory of the backbone.
      head_path: Directory of the checkpoints of the head.
    """
    if not backbone_path or not head_path:
        rule = "needs a backbone and a head that was trained on its embeddings"
        raise InputError("--finetune", rule, f"{backbone_path} and {head_path}")
    backbone, head = fetch.read(backbone_path), artifacts.read(head_path, artifacts.CHECKPOINTS)
    for name, found in (("backbone", head["config"]["backbone"]), ("method", head["method"])):
        if found != getattr(config, name):
            rule = f"must be those of a head with --{name}={getattr(config, name)}"
            raise InputError(artifacts.CHECKPOINTS, rule, found)
    if head.get("backbone") != facts(backbone):
        rule = f"must be of a head on embeddings of this backbone, {backbone['sha256'][:12]}"
        raise InputError(artifacts.CHECKPOINTS, rule, head.get("backbone"))
    for parent in manifests.values():
        artifacts.check_parent(head, parent)
    return {artifacts.BACKBONE: backbone, artifacts.CHECKPOINTS: head}


def facts(backbone):
    """What a run says about its backbone, of the manifest of the backbone."""
    names = (*OF_BACKBONE, "embedding_size")
    return {name: backbone[name] for name in names if name in backbone}


def trained_part(backbone_path):
    """The network that is trained, and how many numbers of the embedding come before its own.

    Of a network that sees two sizes it is a copy, for the smaller one.
    """
    network, kept = fetch.read_network(backbone_path), fetch.read(backbone_path).get("kept_size", 0)
    return (network.get_layer(FEATURES) if kept else network), kept


def check(backbone_path, side):
    """Raises InputError unless a backbone can be fine-tuned on images of this side."""
    network, kept = trained_part(backbone_path)
    if kept:
        found = fetch.read(backbone_path)["smaller_side"]
        if found != side:
            rule = f"must be {found}, the side of the smaller images of this backbone"
            raise InputError("--finetune_image_size", rule, side)
    if network.input_shape[1] == side:
        return
    try:
        fine_tuned.at_side(network, keras.Input((side, side, 3)), side)
    except Exception as error:  # Keras raises whatever the layers do
        own = network.input_shape[1]
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        rule = f"must be {own}, the side of the backbone, which takes no other ({reason})"
        raise InputError("--finetune_image_size", rule, side) from error


def composed(config, backbone_path, head, image_shape):
    """The network at the start of the fine-tuning.

    Args:
      config: `trainer.settings.training.TrainSettings` of the fine-tuning.
      backbone_path: Directory of the backbone.
      head: Model of the trained head.
      image_shape: (H, W, channels) of the images.
    """
    side = config.finetune_image_size
    network, kept = trained_part(backbone_path)
    sides = (fetch.read(backbone_path)["image_side"], side) if kept else (side,)
    return fine_tuned.compose(network, head, image_shape, sides, kept)


def factors(config, method):
    """Factors of the learning rate of the variables of the backbone, the first ones."""
    if not config.finetune:
        return ()
    count = len(method.theta) - len(method.last_layer)
    return [config.backbone_learning_rate / config.learning_rate] * count


def write_network(network, directory):
    """Writes the layers of the network to the checkpoints."""
    Path(directory, NETWORK).write_text(network.to_json())


def saved_network(directory, run):
    """The network of the checkpoints of a run, from its manifest; the weights are of no use."""
    fetch.import_needed(run["backbone"])
    own = {"FrozenStatistics": fine_tuned.FrozenStatistics}
    return keras.models.model_from_json(Path(directory, NETWORK).read_text(), own)
