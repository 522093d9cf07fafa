"""Where images come from: each source gives encoded images with the labels published with them."""

from functools import partial

from trainer.config import TFDS, check_dataset
from trainer.data.sources.cifar_batches import from_batches
from trainer.data.sources.digits import digits
from trainer.data.sources.folders import image_folder
from trainer.data.sources.tables import table
from trainer.data.sources.tensorflow_datasets import from_tfds
from trainer.data.sources.webvision import imagenet_val, webvision_mini


def cifar(name, settings):
    """CIFAR from its published files in `settings.data`, else from TensorFlow Datasets."""
    return from_batches(name, settings.data) if settings.data else from_tfds(name, settings)


SOURCES = {
    "digits": digits,
    "cifar10": partial(cifar, "cifar10"),
    "cifar100": partial(cifar, "cifar100"),
    "image_folder": image_folder,
    "csv": table,
    "webvisionmini": webvision_mini,
    "imagenet2012_val": imagenet_val,
}


def load(name, settings):
    """The source called `name`; `settings` is a `trainer.config.DataConfig`."""
    if name in SOURCES:
        return SOURCES[name](settings)
    check_dataset(name)
    return from_tfds(name.removeprefix(TFDS), settings)
