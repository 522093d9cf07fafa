"""Where images come from: each source gives encoded images with the labels published with them."""

from dataclasses import replace
from functools import partial

from trainer.data.sources import (
    cifar_batches,
    digits,
    folders,
    tables,
    tensorflow_datasets,
    webvision,
)
from trainer.settings.fields import check_choice

TFDS = "tfds:"  # before the name of any set of TensorFlow Datasets
PUBLISHED = tensorflow_datasets.KIND
OFFERED = {
    "digits": digits.KIND,
    "cifar10": cifar_batches.CIFAR10,
    "cifar100": cifar_batches.CIFAR100,
    "image_folder": folders.KIND,
    "csv": tables.KIND,
    "webvisionmini": webvision.KIND,
}
SOURCES = OFFERED | {"imagenet2012_val": webvision.IMAGENET_VAL}


def kind(name):
    """The `SourceKind` called `name`, such as digits or tfds:mnist; InputError for another name."""
    if name.startswith(TFDS):
        load = partial(tensorflow_datasets.from_tfds, name.removeprefix(TFDS))
        return replace(PUBLISHED, load=load)
    check_choice("dataset", name, (*OFFERED, f"{TFDS}<name>"))
    return OFFERED[name]


def load(name, settings):
    """The source called `name`; `settings` is a `trainer.settings.data.DataSettings`."""
    return (SOURCES.get(name) or kind(name)).load(settings)
