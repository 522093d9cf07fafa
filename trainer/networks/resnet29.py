"""ResNet-29 for CIFAR: pre-activation bottlenecks (He et al., ECCV 2016), as released with IEG."""

import keras
from keras import layers

from trainer.networks.batch_norm import FusedBatchNorm
from trainer.networks.weight_decay import L2

WEIGHT_DECAY = 1e-4


def conv(filters, size, strides=1):
    return layers.Conv2D(
        filters,
        size,
        strides,
        "same",
        use_bias=False,
        kernel_initializer="glorot_normal",
        kernel_regularizer=L2(WEIGHT_DECAY),
    )


def bottleneck(x, width, filters, strides, first_in_stage, first_in_network):
    """1x1, 3x3, 1x1 with a shortcut.

    As in the release, there is no ReLU before the first 1x1 convolution of a block, so that its
    numbers can be reproduced.
    """
    y = x if first_in_network else FusedBatchNorm()(x)
    y = conv(width, 1, strides)(y)
    y = conv(width, 3)(layers.ReLU()(FusedBatchNorm()(y)))
    y = conv(filters, 1)(layers.ReLU()(FusedBatchNorm()(y)))
    shortcut = conv(filters, 1, strides)(x) if first_in_stage else x
    return layers.Add()([y, shortcut])


def build(image_shape, num_classes):
    """Three stages of three blocks; 840,730 trainable parameters for 32x32x3 and 10 classes.

    The regulariser is WEIGHT_DECAY times the squares of the kernels.

    Args:
      image_shape: (H, W, channels).
      num_classes: C.

    Returns:
      Model from images in [-1, 1] to logits (B, C).
    """
    images = keras.Input(image_shape)
    x = layers.ReLU()(FusedBatchNorm()(conv(16, 3)(images)))
    for stage, (width, filters) in enumerate(((16, 64), (64, 128), (128, 256))):
        for block in range(3):
            strides = 2 if stage > 0 and block == 0 else 1
            x = bottleneck(x, width, filters, strides, block == 0, stage == block == 0)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(FusedBatchNorm()(x)))
    logits = layers.Dense(num_classes, kernel_regularizer=L2(WEIGHT_DECAY))(x)
    return keras.Model(images, logits, name="resnet29")
