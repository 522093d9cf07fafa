"""Networks of keras.applications, and .keras files of one's own."""

import inspect
import warnings
import zipfile
from pathlib import Path

import keras

from trainer.backbones import loaded
from trainer.errors import InputError

SIDE = 224
LICENCE = "not recorded: as the documentation of keras.applications says"


def application(name, weights="", side=SIDE):
    """A network of keras.applications with its preprocessing, pooled to a vector.

    Args:
      name: Such as EfficientNetV2B0.
      weights: File of weights without the classifier, `.h5`; "" lets Keras download them once.
      side: S, in pixels.

    Returns:
      `trainer.backbones.loaded.Loaded`.

    Raises:
      InputError: There is no such network, or its weights cannot be had or read.
    """
    preprocess, make = functions_of(name)
    options = {"include_top": False, "pooling": "avg", "input_shape": (side, side, 3)}
    try:
        with warnings.catch_warnings(action="ignore"):  # one for each layer before an error
            network = make(weights=weights or "imagenet", **options)
    except Exception as error:  # the library says a failed download by a plain Exception
        said = loaded.first_line(error)
        rule = f"must be weights of {name} without its classifier, in a .h5 file ({said})"
        if weights:
            raise InputError("--backbone_weights", rule, weights) from error
        rule = f"needs weights, which cannot be downloaded ({said}); --backbone_weights=FILE.h5"
        raise InputError("--backbone", f"{rule} names a file of them", f"keras:{name}") from error
    images = keras.Input((side, side, 3))
    network = keras.Model(images, network(preprocess(images)), name=name)
    if weights:
        found = loaded.file_hash(weights)
        source = f"keras.applications.{name}, weights of {Path(weights).name}"
        return loaded.Loaded(network, source, LICENCE, found)
    source = f"keras.applications.{name}, weights of ImageNet-1k by Keras {keras.__version__}"
    return loaded.Loaded(network, source, LICENCE, loaded.values_hash(network))


def functions_of(name):
    """The preprocessing and the constructor of a network of keras.applications."""
    make = getattr(keras.applications, name, None)
    if inspect.isfunction(make):
        return inspect.getmodule(make).preprocess_input, make
    rule = "must name a network of keras.applications, such as keras:EfficientNetV2B0"
    raise InputError("--backbone", rule, f"keras:{name}")


def own_file(path, side=0):
    """A network that somebody saved: images (B, S, S, 3), 0..255, to vectors.

    Args:
      path: A .keras file.
      side: S in pixels, where the network takes images of any size; 0: `SIDE`.

    Raises:
      InputError: It is no such file, or takes images of another side.
    """
    if not zipfile.is_zipfile(path):
        rule = "must be a .keras file as model.save writes it, a whole zip archive"
        raise InputError("--backbone", rule, str(path))
    try:
        network = keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever the layers do
        said = loaded.first_line(error)
        rule = f"must be a .keras file that loads without code of its own ({said})"
        raise InputError("--backbone", rule, str(path)) from error
    shape = getattr(network, "input_shape", None)
    if isinstance(shape, tuple) and shape[1:] == (None, None, 3):
        images = keras.Input((side or SIDE, side or SIDE, 3))
        network = keras.Model(images, network(images))
    elif side and isinstance(shape, tuple) and side != shape[1]:
        rule = f"must be 0 or the side that the network of {path} takes, {shape[1]}"
        raise InputError("--backbone_image_size", rule, side)
    source = f"own file {Path(path).name}"
    return loaded.Loaded(network, source, "that of the file", loaded.file_hash(path))
