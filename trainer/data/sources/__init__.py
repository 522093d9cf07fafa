"""Where images come from: each source gives encoded images with the labels published with them."""

from functools import partial

from trainer.config import check_choice
from trainer.data.sources.digits import digits
from trainer.data.sources.files import image_folder, table
from trainer.data.sources.tensorflow_datasets import from_tfds
from trainer.data.sources.webvision import imagenet_val, webvision_mini

SOURCES = {
    "digits": digits,
    "cifar10": partial(from_tfds, "cifar10"),
    "cifar100": partial(from_tfds, "cifar100"),
    "image_folder": image_folder,
    "csv": table,
    "webvisionmini": webvision_mini,
    "imagenet2012_val": imagenet_val,
}


def load(name, settings):
    """The source called `name`; `settings` is a `trainer.config.DataConfig`."""
    check_choice("dataset", name, tuple(SOURCES))
    return SOURCES[name](settings)
