"""Both views of the IEG release at 224 x 224, in plain TensorFlow, one image at a time."""

from functools import partial

import tensorflow as tf

from trainer.data import augment, autoaugment, image_ops, policy_steps
from trainer.data.policies import IMAGENET_V0

SIDE = 224


def views(encoded):
    """Both views of one JPEG file: float32 (224, 224, 3) each."""
    again = encoded_again(encoded)
    image = tf.cast(random_crop(again), tf.uint8)[tf.newaxis]
    policies = [partial(take_pair, image_ops.with_alpha(image), pair) for pair in IMAGENET_V0]
    image = tf.switch_case(tf.random.uniform([], 0, len(policies), tf.int32), policies)
    centre = tf.random.uniform([1, 2], 0, SIDE, tf.int32)
    image = image_ops.cutout(image, centre, autoaugment.CUTOUT, autoaugment.BLACK)
    return augment.scale(random_crop(again)), augment.scale(image[0, ..., :3])


def encoded_again(encoded):
    return tf.io.encode_jpeg(tf.io.decode_jpeg(encoded, 3), quality=95)


def random_crop(encoded):
    """8% to 100% of the area, resized, maybe mirrored: float32 (224, 224, 3), grey levels."""
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
    """Two steps on an image (1, 224, 224, 4)."""
    for step in pair:
        image = take(image, step)
    return image


def take(image, step):
    encoded = policy_steps.encode(
        [step], policy_steps.IMAGENET_OPERATORS, policy_steps.IMAGENET_LEVELS, SIDE, SIDE
    )
    operator = encoded.operators[encoded.kind[0]]
    numbers = tf.gather(encoded.numbers[0], tf.random.uniform([1], 0, 2, tf.int32))
    pixel = tf.zeros([1, 2], tf.int32)  # for Cutout, which is in none of the 25
    taken = tf.random.uniform([]) < encoded.probability[0]
    return tf.cond(taken, lambda: operator(image, numbers, pixel), lambda: image)
