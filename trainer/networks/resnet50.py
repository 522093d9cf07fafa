"""ResNet-50 with pre-activation (He et al., ECCV 2016), as in TensorFlow's official models."""

import keras
from keras import layers

from trainer.networks.batch_norm import FusedBatchNorm
from trainer.networks.weight_decay import L2

WEIGHT_DECAY = 4e-4
DECAY = L2(WEIGHT_DECAY / 2)


def conv(x, filters, size, strides=1):
    """Strided convolutions pad both sides equally, whatever the size of the image."""
    if strides > 1 and size > 1:
        x = layers.ZeroPadding2D((size - 1) // 2)(x)
    return layers.Conv2D(
        filters,
        size,
        strides,
        "same" if strides == 1 else "valid",
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(),
        kernel_regularizer=DECAY,
    )(x)


def activation(x):
    return layers.ReLU()(FusedBatchNorm(momentum=0.997, regularizer=DECAY)(x))


def bottleneck(x, filters, strides, project):
    y = activation(x)
    shortcut = conv(y, 4 * filters, 1, strides) if project else x
    y = conv(y, filters, 1)
    y = conv(activation(y), filters, 3, strides)
    y = conv(activation(y), 4 * filters, 1)
    return layers.Add()([y, shortcut])


def build(image_shape, num_classes):
    """3, 4, 6 and 3 blocks; 23,602,802 trainable parameters for 50 classes.

    The regulariser is WEIGHT_DECAY / 2 times the squares of all trainable variables.

    Args:
      image_shape: (H, W, channels).
      num_classes: C.

    Returns:
      Model from images in [-1, 1] to logits (B, C).
    """
    images = keras.Input(image_shape)
    x = layers.MaxPooling2D(3, 2, "same")(conv(images, 64, 7, 2))
    for filters, blocks, strides in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for index in range(blocks):
            x = bottleneck(x, filters, strides if index == 0 else 1, project=index == 0)
    x = layers.GlobalAveragePooling2D()(activation(x))
    logits = layers.Dense(num_classes, kernel_regularizer=DECAY, bias_regularizer=DECAY)(x)
    return keras.Model(images, logits, name="resnet50")
