"""Both views of the IEG release at 224 x 224 by functions of TensorFlow, one image at a time."""

from functools import partial

import tensorflow as tf

from trainer.data.augmentation import augment, autoaugment, policy_steps
from trainer.data.augmentation.policies import IMAGENET_V0

SIDE, GREY = 224, 128


def views(encoded):
    """Both views of one JPEG file: float32 (224, 224, 3) each."""
    again = encoded_again(encoded)
    image = tf.cast(random_crop(again), tf.uint8)
    policies = [partial(take_pair, image, pair) for pair in IMAGENET_V0]
    image = tf.switch_case(tf.random.uniform([], 0, len(policies), tf.int32), policies)
    return augment.scale(random_crop(again)), augment.scale(cutout(image))


def encoded_again(encoded):
    return tf.io.encode_jpeg(tf.io.decode_jpeg(encoded, 3), quality=95)


def random_crop(encoded):
    """8% to 100% of the area, resized, mirrored or not: float32 (224, 224, 3), grey levels."""
    start, size, _ = tf.image.sample_distorted_bounding_box(
        tf.io.extract_jpeg_shape(encoded),
        tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        min_object_covered=0.1,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(0.08, 1.0),
        max_attempts=10,
    )
    window = tf.concat([start[:2], size[:2]], axis=0)
    crop = tf.io.decode_and_crop_jpeg(encoded, window, channels=3)
    return tf.image.random_flip_left_right(tf.image.resize(crop, [SIDE, SIDE]))


def take_pair(image, pair):
    """Two steps on an image, uint8 (224, 224, 3)."""
    for step in pair:
        image = take(image, step)
    return image


def take(image, step):
    encoded = policy_steps.encode([step], OPERATORS, policy_steps.IMAGENET_LEVELS, SIDE, SIDE)
    operator = encoded.operators[encoded.kind[0]]
    numbers = tf.gather(encoded.numbers[0], tf.random.uniform([], 0, 2, tf.int32))
    taken = tf.random.uniform([]) < encoded.probability[0]
    return tf.cond(taken, lambda: operator(image, numbers), lambda: image)


def by_channel(function):
    """The operator that applies the function to each channel, int32 (224, 224)."""

    def operator(image, numbers):
        channels = tf.unstack(tf.cast(image, tf.int32), axis=2)
        return tf.stack([tf.cast(function(channel), tf.uint8) for channel in channels], axis=2)

    return operator


def equalize(levels):
    count = tf.histogram_fixed_width(levels, [0, 255], 256)
    step = (tf.reduce_sum(count) - tf.boolean_mask(count, count > 0)[-1]) // 255
    curve = (tf.cumsum(count, exclusive=True) + step // 2) // tf.maximum(step, 1)
    curve = tf.minimum(curve, 255)
    return tf.cond(step > 0, lambda: tf.gather(curve, levels), lambda: levels)


def autocontrast(levels):
    low, high = (tf.cast(f(levels), tf.float32) for f in (tf.reduce_min, tf.reduce_max))
    stretched = (tf.cast(levels, tf.float32) - low) * 255 / (high - low)
    return tf.cond(high > low, lambda: tf.cast(stretched, tf.int32), lambda: levels)


def posterize(image, numbers):
    shift = tf.cast(8 - numbers[0], tf.uint8)
    return tf.bitwise.left_shift(tf.bitwise.right_shift(image, shift), shift)


def solarize(image, numbers):
    return tf.where(image < tf.cast(numbers[0], tf.uint8), image, 255 - image)


def solarize_add(image, numbers):
    added = tf.cast(image, tf.int32) + tf.cast(numbers[0], tf.int32)
    return tf.where(image < 128, tf.cast(tf.clip_by_value(added, 0, 255), tf.uint8), image)


def color(image, numbers):
    grey = tf.cast(tf.image.grayscale_to_rgb(tf.image.rgb_to_grayscale(image)), tf.float32)
    blended = grey + tf.cast(numbers[0], tf.float32) * (tf.cast(image, tf.float32) - grey)
    return tf.cast(tf.clip_by_value(blended, 0, 255), tf.uint8)


def affine(image, numbers):
    covered = tf.ones([SIDE, SIDE, 1])
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.concat([tf.cast(image, tf.float32), covered], axis=2)[tf.newaxis],
        transforms=tf.concat([tf.cast(numbers, tf.float32), [0, 0]], axis=0)[tf.newaxis],
        output_shape=[SIDE, SIDE],
        fill_value=0.0,
        interpolation="NEAREST",
    )[0]
    return tf.cast(tf.where(moved[..., 3:] > 0, moved[..., :3], GREY), tf.uint8)


def cutout(image):
    centre = tf.random.uniform([2], 0, SIDE, tf.int32)
    start = tf.maximum(centre - autoaugment.CUTOUT, 0)
    end = tf.minimum(centre + autoaugment.CUTOUT, SIDE)
    around = tf.concat([tf.stack([start, SIDE - end], axis=1), [[0, 0]]], axis=0)
    hole = tf.zeros([*tf.unstack(end - start), 1], tf.uint8)
    return image * tf.pad(hole, around, constant_values=1)


OPERATORS = {
    "Identity": lambda image, numbers: image,
    "AutoContrast": by_channel(autocontrast),
    "Equalize": by_channel(equalize),
    "Invert": lambda image, numbers: 255 - image,
    "Posterize": posterize,
    "Solarize": solarize,
    "SolarizeAdd": solarize_add,
    "Color": color,
    "Affine": affine,
}
