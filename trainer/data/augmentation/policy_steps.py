"""Steps (operator, probability, level) of augmentation policies: their meaning, their application.

Levels mean the same as in the released IEG code ("Distilling Effective Supervision from Severe
Label Noise", Zhang et al., CVPR 2020). An operator runs once on all images that drew it, rather
than on each image. B batch, H W image.
"""

from functools import partial
from math import cos, radians, sin
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.data.augmentation import image_ops

MID_GREY = (128, 128, 128, 255)
CUTOUT_COLOUR = (125, 122, 113, 0)  # seen if a later operator makes the image opaque

# Each takes images (n, H, W, 4), its numbers (n, 6) and a random pixel (n, 2).
CIFAR_OPERATORS = {
    "Identity": lambda images, numbers, pixel: images,
    "AutoContrast": lambda images, numbers, pixel: image_ops.autocontrast(images),
    "Equalize": lambda images, numbers, pixel: image_ops.equalize(images),
    "Invert": lambda images, numbers, pixel: image_ops.invert(images),
    "Posterize": lambda images, numbers, pixel: image_ops.posterize(images, numbers[:, 0]),
    "Solarize": lambda images, numbers, pixel: image_ops.solarize(images, numbers[:, 0]),
    "SolarizeAdd": lambda images, numbers, pixel: image_ops.solarize_add(images, numbers[:, 0]),
    "Color": lambda images, numbers, pixel: image_ops.color(images, numbers[:, 0]),
    "Contrast": lambda images, numbers, pixel: image_ops.contrast(images, numbers[:, 0]),
    "Brightness": lambda images, numbers, pixel: image_ops.brightness(images, numbers[:, 0]),
    "Sharpness": lambda images, numbers, pixel: image_ops.sharpness(images, numbers[:, 0]),
    "Affine": lambda images, numbers, pixel: image_ops.affine(images, numbers),
    "Cutout": lambda images, numbers, pixel: image_ops.cutout(
        images, pixel, numbers[:, 0], CUTOUT_COLOUR
    ),
}
IMAGENET_OPERATORS = CIFAR_OPERATORS | {
    "Affine": lambda images, numbers, pixel: image_ops.affine(images, numbers, MID_GREY)
}


def rotation(degrees, H, W):
    """Coefficients of a rotation about the middle, in Pillow's operations for the same rounding."""
    angle = -radians(degrees % 360)
    a, b, x, y = round(cos(angle), 15), round(sin(angle), 15), W / 2, H / 2
    return a, b, a * -x + b * -y + x, -b, a, -b * -x + a * -y + y


# Operators with a random sign: coefficients for `image_ops.affine`, given what the level means.
AFFINE = {
    "Rotate": rotation,
    "ShearX": lambda shear, H, W: (1, shear, 0, 0, 1, 0),
    "ShearY": lambda shear, H, W: (1, 0, 0, shear, 1, 0),
    "TranslateX": lambda pixels, H, W: (1, 0, pixels, 0, 1, 0),
    "TranslateY": lambda pixels, H, W: (1, 0, 0, 0, 1, pixels),
}

# What a level of 0 to 10 means; operators that are not here ignore it.
CIFAR_LEVELS = {
    "Rotate": lambda level: level * 3,
    "ShearX": lambda level: level * 0.3 / 10,
    "ShearY": lambda level: level * 0.3 / 10,
    "TranslateX": lambda level: level,
    "TranslateY": lambda level: level,
    "Posterize": lambda level: 4 - int(level * 4 / 10),
    "Solarize": lambda level: 256 - int(level * 256 / 10),
    "Color": lambda level: level * 1.8 / 10 + 0.1,
    "Contrast": lambda level: level * 1.8 / 10 + 0.1,
    "Brightness": lambda level: level * 1.8 / 10 + 0.1,
    "Sharpness": lambda level: level * 1.8 / 10 + 0.1,
    "Cutout": lambda level: level,
}
IMAGENET_LEVELS = CIFAR_LEVELS | {
    "TranslateX": lambda level: level * 25,
    "TranslateY": lambda level: level * 25,
    "Posterize": lambda level: int(level * 4 / 10),
    # The release's threshold is a uint8, in which 256 is 0: level 10 inverts all.
    "Solarize": lambda level: int(level * 256 / 10) % 256,
    "SolarizeAdd": lambda level: int(level * 110 / 10),
}


class Steps(NamedTuple):
    """N steps as arrays, and the operators that occur in them.

    Attributes:
      operators: Functions; the first one is Identity.
      kind: int32 (N,), which of the functions.
      probability: float32 (N,).
      numbers: float64 (N, 2, 6), arguments of the function, with positive and negative sign.
    """

    operators: list
    kind: np.ndarray
    probability: np.ndarray
    numbers: np.ndarray


class Draws(NamedTuple):
    """Random numbers for two steps on each image.

    Attributes:
      uniform: float32 (2, B); the step is taken if it is below the step's probability.
      negative: bool (2, B), sign of affine operators.
      pixel: int32 (2, B, 2), column and row, for Cutout.
    """

    uniform: tf.Tensor
    negative: tf.Tensor
    pixel: tf.Tensor


def encode(policy, operators, levels, H, W):
    """A list of steps (operator, probability, level) as `Steps`, for images of H x W."""
    kinds = ["Affine" if name in AFFINE else name for name, _, _ in policy]
    used = ["Identity", *sorted(set(kinds) - {"Identity"})]
    numbers = []
    for name, _, level in policy:
        number = levels[name](level) if name in levels else 0
        if name in AFFINE:
            numbers.append([AFFINE[name](signed, H, W) for signed in (number, -number)])
        else:
            numbers.append([[number] * 6] * 2)
    return Steps(
        operators=[operators[kind] for kind in used],
        kind=np.array([used.index(kind) for kind in kinds], np.int32),
        probability=np.array([probability for _, probability, _ in policy], np.float32),
        numbers=np.array(numbers, np.float64),
    )


def take(images, steps, rows, draws):
    """Takes two steps on each image.

    Args:
      images: uint8 (B, H, W, 4).
      steps: `Steps`.
      rows: int32 (2, B), which of the steps.
      draws: `Draws`.

    Returns:
      uint8 (B, H, W, 4).
    """
    apply_traced_once = tf.function(partial(apply, steps.operators), autograph=False)
    for row, uniform, negative, pixel in zip(*map(tf.unstack, (rows, *draws))):
        taken = uniform < tf.gather(steps.probability, row)
        kind = tf.where(taken, tf.gather(steps.kind, row), 0)
        numbers = tf.gather_nd(steps.numbers, tf.stack([row, tf.cast(negative, tf.int32)], axis=1))
        images = apply_traced_once(kind, images, numbers, pixel)
    return images


def apply(operators, kind, images, numbers, pixel):
    """Operator number `kind` (B,) on each image; every operator runs once, maybe on no image."""
    parts = tf.dynamic_partition(tf.range(images.shape[0]), kind, len(operators))
    results = [
        operator(tf.gather(images, ids), tf.gather(numbers, ids), tf.gather(pixel, ids))
        for operator, ids in zip(operators, parts)
    ]
    return tf.ensure_shape(tf.dynamic_stitch(parts, results), images.shape)
