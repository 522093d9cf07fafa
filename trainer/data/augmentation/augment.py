"""Augmentation of whole batches, in tensor operations; every draw follows from a seed.

Images go in as uint8 and come out as float32 in [-1, 1]; B batch, H W image.
"""

import tensorflow as tf

ROTATION, SHEAR, SHIFT = 0.35, 0.3, 0.15  # radians, tangent, fraction of the side
CONTRAST, BRIGHTNESS = 0.4, 0.3
CUTOUT = 0.4  # fraction of the side


def scale(images):
    """Uint8 grey levels to float32 in [-1, 1]."""
    # One operation; cast, quotient and difference write three arrays that no cache holds.
    return tf.raw_ops.Dequantize(
        input=tf.bitcast(images, tf.quint8), min_range=-1.0, max_range=1.0, mode="MIN_COMBINED"
    )


def weak(images, seed, padding, flip):
    """A random crop of the padded image, and a mirror image half of the time.

    Args:
      images: uint8 (B, H, W, channels).
      seed: int32 (2,).
      padding: Black pixels added at each side, so the shift in pixels at most.
      flip: Whether to mirror.

    Returns:
      float32 (B, H, W, channels) in [-1, 1].
    """
    B, H, W, _ = images.shape
    crop_seed, flip_seed = tf.unstack(tf.random.split(seed))
    offset = tf.random.stateless_uniform([2, B, 1], crop_seed, 0, 2 * padding + 1, tf.int32)
    rows, columns = offset[0] + tf.range(H), offset[1] + tf.range(W)
    if flip:
        mirrored = tf.random.stateless_uniform([B, 1], flip_seed) < 0.5
        columns = tf.where(mirrored, tf.reverse(columns, [1]), columns)
    images = tf.pad(images, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
    images = tf.gather(images, rows, axis=1, batch_dims=1)
    return scale(tf.gather(images, columns, axis=2, batch_dims=1))


def strong(images, seed):
    """An affine map, another contrast and brightness, and a grey square (Cutout).

    Args:
      images: float32 (B, H, W, channels) in [-1, 1], usually the weak view.
      seed: int32 (2,).

    Returns:
      float32 (B, H, W, channels) in [-1, 1].
    """
    affine_seed, colour_seed, cutout_seed = tf.unstack(tf.random.split(seed, 3))
    images = affine(images, affine_seed)
    draws = tf.random.stateless_uniform([2, images.shape[0], 1, 1, 1], colour_seed, -1, 1)
    images = tf.clip_by_value(images * (1 + CONTRAST * draws[0]) + BRIGHTNESS * draws[1], -1, 1)
    return cutout(images, cutout_seed)


def affine(images, seed):
    """Each image rotated, sheared and shifted about its centre; edges are repeated outside."""
    B, H, W, _ = images.shape
    angle, shear, right, down = tf.unstack(tf.random.stateless_uniform([4, B], seed, -1, 1))
    angle, shear = ROTATION * angle, SHEAR * shear
    cos, sin = tf.cos(angle), tf.sin(angle)
    # output (x, y) takes the input pixel at (a x + b y + c, d x + e y + f)
    a, b, d, e = cos, cos * shear - sin, sin, sin * shear + cos
    x, y = (W - 1) / 2, (H - 1) / 2
    c = x - a * x - b * y + SHIFT * W * right
    f = y - d * x - e * y + SHIFT * H * down
    zero = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, c, d, e, f, zero, zero], axis=1),
        output_shape=[H, W],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )


def cutout(images, seed):
    """A square around a random pixel becomes mid grey (DeVries & Taylor, 2017)."""
    B, H, W, _ = images.shape
    centre = tf.random.stateless_uniform([2, B, 1], seed)
    rows = tf.abs(tf.range(H, dtype=tf.float32) + 0.5 - H * centre[0]) <= CUTOUT * H / 2
    columns = tf.abs(tf.range(W, dtype=tf.float32) + 0.5 - W * centre[1]) <= CUTOUT * W / 2
    square = rows[:, :, tf.newaxis] & columns[:, tf.newaxis, :]
    return tf.where(square[..., tf.newaxis], 0.0, images)
