"""Rotation prediction with a joint class-rotation head.

Lee et al., "Self-supervised Label Augmentation via Input Transformations" (ICML 2020).
"""

import keras
import numpy as np
import tensorflow as tf


def rotated(images):
    """Rotates each image by 0 to 3 quarter turns; by 0 or 2 if the images are not square.

    Args:
      images: (n, H, W, channels).

    Returns:
      Rotated images, in the same order, and their quarter turns, int32 (n,).
    """
    n, H, W, _ = images.shape
    quarters = np.int32([0, 1, 2, 3] if H == W else [0, 2])
    sizes = [len(rows) for rows in np.array_split(range(n), len(quarters))]
    parts = zip(tf.split(images, sizes), quarters, strict=True)
    x = tf.concat([tf.image.rot90(part, k) for part, k in parts], axis=0)
    return x, tf.constant(np.repeat(quarters, sizes))


class ClassRotationHead(keras.layers.Dense):
    """A dense layer from features (B, D) to logits of each class in each of four rotations.

    Args:
      num_classes: C.
    """

    def __init__(self, num_classes):
        super().__init__(4 * num_classes, dtype="float32")
        self.num_classes = num_classes

    def log_probability(self, features, quarters):
        """Log P(true j, rotation r_n | image n), (B, C), of the rotations r (B,)."""
        log_p = tf.nn.log_softmax(self(features))
        log_p = tf.reshape(log_p, [-1, 4, self.num_classes])
        return tf.gather(log_p, quarters, axis=1, batch_dims=1)
