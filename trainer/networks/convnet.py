"""A small network for tiny images."""

import keras
from keras import layers

from trainer.networks.batch_norm import FusedBatchNorm
from trainer.networks.weight_decay import L2

WEIGHT_DECAY = 5e-4


def build(image_shape, num_classes):
    """Four 3x3 convolutions with batch norm, the second and fourth of stride 2, then the mean.

    The regulariser is WEIGHT_DECAY / 2 times the squares of all trainable variables.

    Args:
      image_shape: (H, W, channels), sides of at least 4.
      num_classes: C.

    Returns:
      Model from images in [-1, 1] to logits (B, C).
    """
    l2 = L2(WEIGHT_DECAY / 2)
    images = x = keras.Input(image_shape)
    for filters, strides in ((32, 1), (32, 2), (64, 1), (64, 2)):
        x = layers.Conv2D(
            filters,
            3,
            strides,
            "same",
            use_bias=False,
            kernel_initializer="he_normal",
            kernel_regularizer=l2,
        )(x)
        x = layers.ReLU()(FusedBatchNorm(regularizer=l2)(x))
    x = layers.GlobalAveragePooling2D()(x)
    logits = layers.Dense(num_classes, kernel_regularizer=l2, bias_regularizer=l2)(x)
    return keras.Model(images, logits, name="convnet")
