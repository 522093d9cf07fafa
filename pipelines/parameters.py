"""Descriptions of the pipelines' parameters: settings have theirs, the others are here."""

import dataclasses
import functools
import inspect

from trainer import backbones
from trainer.data import sources
from trainer.methods import METHODS
from trainer.settings.data import NOISES, DataSettings
from trainer.training import configuration

SETTINGS = {
    field.name: field for field in dataclasses.fields(DataSettings)
} | configuration.fields()
MEANINGS = {
    "dataset": f"name of the source: {', '.join(sources.OFFERED)} or tfds:<name>",
    "noise": f"label noise to add: {', '.join(NOISES)}",
    "noise_ratio": "probability with which a label is redrawn or flipped, in [0, 1]",
    "runs": f"method ({', '.join(METHODS)}), noise_ratio and seed of each run",
    "use_imagenet_as_eval": "whether to test webvisionmini on the ImageNet validation set too",
    "dataset_settings": "further settings of the dataset by the name of their flag, such as"
    ' {"clean_label_column": "true_label", "bad_images": "skip"}',
    "settings": "further settings of the trainer by the name of their flag, such as"
    ' {"max_iteration": 1000}',
    "decisions": "decisions.csv, as the report saves it; reviewed labels are trusted",
    "checkpoint_root": "directory or gs:// path where checkpoints outlive a task",
}
OF_BACKBONE = ("backbone", "backbone_weights")  # parameters of pipelines that have one
OF_REVIEW = ("decisions",)  # parameters of those that apply a review
PATHS = {
    "backbone",  # unless it is a name
    "checkpoint_root",
    "decisions",
    *(name for name, field in SETTINGS.items() if field.metadata.get("path")),
}


def has_backbone(parameters):
    """Whether a pipeline with these parameters embeds the images with a backbone."""
    return parameters.get("backbone", backbones.NONE) != backbones.NONE


def has_finetuning(parameters):
    """Whether a pipeline with these parameters fine-tunes the backbone."""
    return has_backbone(parameters) and bool(parameters.get("settings", {}).get("finetune"))


def has_choice(parameters):
    """Whether a pipeline chooses between the embeddings and a network from scratch."""
    return parameters.get("backbone") == backbones.AUTO


def without(*names):
    """A decorator that takes parameters from a function: they keep their defaults.

    kfp makes a parameter of the pipeline of each that is left, and passes them by position.
    """

    def shortened(pipeline):
        signature = inspect.signature(pipeline)
        kept = [each for name, each in signature.parameters.items() if name not in names]

        @functools.wraps(pipeline)
        def called(*values, **named):
            return pipeline(**dict(zip((each.name for each in kept), values)), **named)

        called.__signature__ = signature.replace(parameters=kept)
        return called

    return shortened


def described(pipeline):
    """Adds the description of each parameter to a docstring, from which kfp reads it."""
    names = inspect.signature(pipeline).parameters
    lines = [f"    {name}: {meaning(name)}" for name in names]
    pipeline.__doc__ = "\n".join([inspect.getdoc(pipeline), "", "Args:", *lines])
    return pipeline


def meaning(name):
    """The description of a parameter."""
    if name in MEANINGS:
        return MEANINGS[name]
    return configuration.meaning(SETTINGS[name])
