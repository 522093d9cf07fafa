"""MixUp (Zhang et al., ICLR 2018), from random numbers that come with the batch."""

from etils import epy

with epy.lazy_imports():
    import tensorflow as tf


def mixup_draws(count, seeds):
    """Draws for `mixup` of `count` images: mix_uniform (count,) and mix_permutation (count,)."""
    return {
        "mix_uniform": tf.random.stateless_uniform([count], seeds[0]),
        "mix_permutation": tf.argsort(tf.random.stateless_uniform([count], seeds[1])),
    }


def mixup(images, labels, uniform, permutation):
    """Each example blended with another one.

    Args:
      images: (n, H, W, channels).
      labels: (n, C).
      uniform: (n,) draws u from U(0, 1); the fraction max(u^2/2, 1 - u^2/2) of the example itself
        approximates Beta(1/2, 1/2).
      permutation: (n,) int32, the partner of each example.

    Returns:
      Blended images and labels.
    """
    own = tf.maximum(uniform**2 / 2, 1 - uniform**2 / 2)

    def blend(values):
        lam = tf.reshape(own, [-1] + [1] * (len(values.shape) - 1))
        return lam * values + (1 - lam) * tf.gather(values, permutation)

    return blend(images), blend(labels)
