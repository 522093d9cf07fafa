"""WRN-28-10 (Zagoruyko & Komodakis, BMVC 2016) in the form of the AutoAugment release."""

import keras
from keras import layers, ops

from trainer.networks.batch_norm import FusedBatchNorm
from trainer.networks.weight_decay import L2

WEIGHT_DECAY = 5e-4
DECAY = L2(WEIGHT_DECAY / 2)


def conv(filters, strides=1):
    init = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
    return layers.Conv2D(
        filters,
        3,
        strides,
        "same",
        use_bias=False,
        kernel_initializer=init,
        kernel_regularizer=DECAY,
    )


def activation(x):
    return layers.ReLU()(FusedBatchNorm(regularizer=DECAY)(x))


def fit_to(x, filters, strides):
    """The skip path without parameters: pooled, and padded with channels of zeros on both sides."""
    if strides > 1:
        x = layers.AveragePooling2D(strides)(x)
    missing = (filters - x.shape[-1]) // 2
    return ops.pad(x, [(0, 0), (0, 0), (0, 0), (missing, missing)]) if missing else x


def block(x, filters, strides, activate_shortcut):
    y = activation(x)
    shortcut = fit_to(y if activate_shortcut else x, filters, strides)
    y = conv(filters, strides)(y)
    y = conv(filters)(activation(y))
    return layers.Add()([y, shortcut])


def build(image_shape, num_classes):
    """Three groups of four blocks; 36,278,324 trainable parameters for 100 classes.

    Each group's input is added to its output, and the first convolution's output to the last one.
    The regulariser is WEIGHT_DECAY / 2 times the squares of all trainable variables.

    Args:
      image_shape: (H, W, channels), sides divisible by 4.
      num_classes: C.

    Returns:
      Model from images in [-1, 1] to logits (B, C).
    """
    images = keras.Input(image_shape)
    x = first = conv(16)(images)
    for group, (filters, strides) in enumerate(((160, 1), (320, 2), (640, 2))):
        group_input = x
        for index in range(4):
            x = block(x, filters, strides if index == 0 else 1, group == index == 0)
        x = layers.Add()([x, fit_to(group_input, filters, strides)])
    x = layers.Add()([x, fit_to(first, 640, 4)])
    x = layers.GlobalAveragePooling2D()(activation(x))
    limit = num_classes**-0.5
    logits = layers.Dense(
        num_classes,
        kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
        kernel_regularizer=DECAY,
        bias_regularizer=DECAY,
    )(x)
    return keras.Model(images, logits, name="wrn28_10")
