"""Crops of JPEG and PNG files. S side of a crop, k crops of an image."""

import tensorflow as tf

CENTRE = 224 / 256  # of the shorter side: what a test sees of an image


def of_file(encoded, window, side, seeds, mirrored):
    """Crops of a file, resized: uint8 (k, S, S, 3).

    The file is decoded once, a JPEG only within the smallest window around all crops.

    Args:
      encoded: string scalar.
      window: Function of (H, W) and a seed that gives the crop: int32 top, left, height, width.
      side: S.
      seeds: int32 (k, 2).
      mirrored: bool (k,).
    """

    def cut(shape, decode):
        windows = tf.stack([window(shape, seed) for seed in tf.unstack(seeds)])
        frame = enclosing(windows)
        image, windows = decode(frame), windows - [frame[0], frame[1], 0, 0]
        parts = zip(tf.unstack(windows), tf.unstack(mirrored), strict=True)
        return tf.stack([resized(part(image, window), side, mirror) for window, mirror in parts])

    def jpeg():
        shape = tf.io.extract_jpeg_shape(encoded)[:2]
        return cut(shape, lambda frame: tf.io.decode_and_crop_jpeg(encoded, frame, channels=3))

    def png():
        image = tf.io.decode_png(encoded, channels=3)
        return cut(tf.shape(image)[:2], lambda frame: part(image, frame))

    return tf.cond(tf.io.is_jpeg(encoded), jpeg, png)


def of_files(files, window, side, seeds, mirrored):
    """Crops of each file: uint8 (B, k, S, S, 3).

    Args:
      files: string (B,).
      window: As for `of_file`.
      side: S.
      seeds: int32 (B, k, 2).
      mirrored: bool (B, k).
    """
    crops = tf.TensorSpec([seeds.shape[1], side, side, 3], tf.uint8)
    arguments = files, seeds, mirrored
    return tf.map_fn(
        lambda file: of_file(file[0], window, side, *file[1:]), arguments, fn_output_signature=crops
    )


def middle(encoded, side):
    """The middle of a file, as tests see it: uint8 (S, S, 3)."""
    seed, mirrored = tf.zeros([1, 2], tf.int32), tf.zeros([1], tf.bool)
    return of_file(encoded, centre_window, side, seed, mirrored)[0]


def enclosing(windows):
    """The smallest window that all windows, int32 (k, 4), lie in."""
    start = tf.reduce_min(windows[:, :2], axis=0)
    end = tf.reduce_max(windows[:, :2] + windows[:, 2:], axis=0)
    return tf.concat([start, end - start], axis=0)


def part(image, window):
    top, left, height, width = tf.unstack(window)
    return image[top : top + height, left : left + width]


def resized(image, side, mirrored):
    image = tf.image.resize(tf.cast(image, tf.float32), [side, side])  # slower from integers
    image = tf.cast(tf.round(image), tf.uint8)
    return tf.cond(mirrored, lambda: tf.reverse(image, [1]), lambda: image)


def random_window(shape, seed):
    """8% to 100% of the area at an aspect of 3:4 to 4:3; the centre if ten draws do not fit."""
    whole = tf.constant([[[0.0, 0.0, 1.0, 1.0]]])
    start, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.concat([shape, [3]], axis=0),
        whole,
        seed,
        min_object_covered=0.1,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(0.08, 1.0),
        max_attempts=10,
    )
    drawn = tf.concat([start[:2], size[:2]], axis=0)
    return tf.where(tf.reduce_all(size[:2] == shape), centre_window(shape), drawn)


def centre_window(shape, seed=None):
    """The middle square of CENTRE of the shorter side."""
    side = tf.cast(tf.round(CENTRE * tf.cast(tf.reduce_min(shape), tf.float32)), tf.int32)
    side = tf.maximum(side, 1)
    return tf.concat([(shape - side) // 2, [side, side]], axis=0)
