"""What a backbone sees of an image."""

import tensorflow as tf


def resized(images, side):
    """Views as a backbone takes them: float32 (B, S, S, 3), 0..255; grey ones get three channels.

    Args:
      images: float32 (B, H, W, channels) in [-1, 1].
      side: S.
    """
    if images.shape[-1] == 1:
        images = tf.image.grayscale_to_rgb(images)
    if images.shape[1:3] != (side, side):
        images = tf.image.resize(images, [side, side])
    return (images + 1) * 127.5
