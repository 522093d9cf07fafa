"""Strong views by AutoAugment and RandAugment; whole batches, and every draw follows from a seed.

As in the released IEG code ("Distilling Effective Supervision from Severe Label Noise", Zhang et
al., CVPR 2020), whose draws have no seed. One difference: images in [-1, 1] are rounded to grey
levels, so that no level changes; the release truncates, which makes 47 or 63 of the 256 levels
darker by one, depending on how they were scaled. B batch, H W image.
"""

import tensorflow as tf

from trainer.data.augmentation import augment, image_ops, policy_steps
from trainer.data.augmentation.policies import CIFAR10, IMAGENET_V0

RANDAUGMENT = (
    *("Identity", "AutoContrast", "Equalize", "Rotate", "Solarize", "Color", "Contrast"),
    *("Brightness", "Sharpness", "ShearX", "ShearY", "TranslateX", "TranslateY", "Posterize"),
)
CROP_PADDING = 4
CUTOUT = 8  # half of the side
BLACK = (0, 0, 0, 255)


def cifar_strong(images, seed):
    """One of the 95 sub-policies for CIFAR-10 on each image, then crop, mirror image and Cutout.

    Sizes in pixels are those for images of 32 x 32. What no image covers is mid grey.

    Args:
      images: float32 (B, H, W, 3) in [-1, 1], usually the weak view.
      seed: int32 (2,).

    Returns:
      float32 (B, H, W, 3) in [-1, 1].
    """
    choice_seed, seed = tf.unstack(tf.random.split(seed))
    rows = choose_pairs(CIFAR10, images.shape[0], choice_seed)
    return cifar_view(images, flatten(CIFAR10), rows, seed)


def randaugment_strong(images, seed):
    """Two operators with their levels for the whole batch, each on a random half of the images.

    Otherwise like `cifar_strong`.
    """
    choice_seed, seed = tf.unstack(tf.random.split(seed))
    policy = [(name, 0.5, level) for name in RANDAUGMENT for level in range(1, 10)]
    rows = tf.random.stateless_uniform([2, 1], choice_seed, 0, len(policy), tf.int32)
    return cifar_view(images, policy, tf.repeat(rows, images.shape[0], axis=1), seed)


def imagenet_strong(images, seed):
    """One of the 25 sub-policies v0 for ImageNet on each image, then a black square (Cutout).

    Sizes in pixels are those of the release for 224 x 224, where TranslateY at level 9 leaves
    nothing of the image. What no image covers is mid grey.

    Args:
      images: uint8 (B, H, W, 3).
      seed: int32 (2,).

    Returns:
      float32 (B, H, W, 3) in [-1, 1].
    """
    B, H, W, _ = images.shape
    choice_seed, step_seed, cutout_seed = tf.unstack(tf.random.split(seed, 3))
    steps = policy_steps.encode(
        flatten(IMAGENET_V0), policy_steps.IMAGENET_OPERATORS, policy_steps.IMAGENET_LEVELS, H, W
    )
    rows = choose_pairs(IMAGENET_V0, B, choice_seed)
    draws = draw_steps(B, H, W, step_seed)
    images = policy_steps.take(image_ops.with_alpha(images), steps, rows, draws)
    centre = draw_pixels([B], H, W, cutout_seed)
    return augment.scale(image_ops.cutout(images, centre, CUTOUT, BLACK)[..., :3])


def cifar_view(images, policy, rows, seed):
    """Applies rows (2, B) of the policy to images (B, H, W, 3), then crop, mirror image, Cutout."""
    B, H, W, _ = images.shape
    step_seed, crop_seed, mirror_seed, cutout_seed = tf.unstack(tf.random.split(seed, 4))
    steps = policy_steps.encode(
        policy, policy_steps.CIFAR_OPERATORS, policy_steps.CIFAR_LEVELS, H, W
    )
    images = image_ops.with_alpha(tf.cast(tf.round((images + 1) * 127.5), tf.uint8))
    images = policy_steps.take(images, steps, rows, draw_steps(B, H, W, step_seed))
    # The release never draws the last offset.
    offset = tf.random.stateless_uniform([B, 2], crop_seed, 0, 2 * CROP_PADDING, tf.int32)
    mirrored = tf.random.stateless_uniform([B], mirror_seed) < 0.5
    return finish(images, offset, mirrored, draw_pixels([B], H, W, cutout_seed))


def finish(images, offset, mirrored, centre):
    """Crops images padded by 4, mirrors some and cuts out squares; what no image covers is 0.

    Args:
      images: uint8 (B, H, W, 4).
      offset: int32 (B, 2), column and row of the crop in the padded image.
      mirrored: bool (B,).
      centre: int32 (B, 2), column and row of the middle of the square.

    Returns:
      float32 (B, H, W, 3) in [-1, 1].
    """
    W = images.shape[2]
    right, down = tf.unstack(tf.cast(offset - CROP_PADDING, tf.float64), axis=1)
    one, zero = tf.ones_like(right), tf.zeros_like(right)
    sign, right = tf.where(mirrored, -one, one), tf.where(mirrored, W + right, right)
    images = image_ops.affine(images, tf.stack([sign, zero, right, zero, one, down], axis=1))
    images = image_ops.cutout(images, centre, CUTOUT)
    covered = tf.cast(images[..., 3:] > 0, tf.float32)
    return covered * augment.scale(images[..., :3])


def flatten(pairs):
    return [step for pair in pairs for step in pair]


def choose_pairs(pairs, B, seed):
    """A random pair for each image, as rows of the flattened list: int32 (2, B)."""
    choice = tf.random.stateless_uniform([B], seed, 0, len(pairs), tf.int32)
    return 2 * choice + [[0], [1]]


def draw_steps(B, H, W, seed):
    seeds = tf.unstack(tf.random.split(seed, 3))
    return policy_steps.Draws(
        uniform=tf.random.stateless_uniform([2, B], seeds[0]),
        negative=tf.random.stateless_uniform([2, B], seeds[1]) < 0.5,
        pixel=draw_pixels([2, B], H, W, seeds[2]),
    )


def draw_pixels(shape, H, W, seed):
    """Column and row of random pixels: int32 (*shape, 2)."""
    return tf.cast(tf.random.stateless_uniform([*shape, 2], seed) * [W, H], tf.int32)
