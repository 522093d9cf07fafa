"""Pseudo-labels (Sohn et al., "FixMatch", NeurIPS 2020)."""

import tensorflow as tf

from trainer.methods.losses import cross_entropy


def pseudo_label_cross_entropy(z, q, threshold):
    """Cross-entropy with the most likely class if its probability exceeds a threshold, else 0.

    Args:
      z: (n, C), logits of strong views.
      q: (n, C), probability of each class, from the weak view and the given label.
      threshold: Confidence threshold, in [0, 1].

    Returns:
      (n,).
    """
    confident = tf.cast(tf.reduce_max(q, axis=1) > threshold, z.dtype)
    pseudo_label = tf.one_hot(tf.argmax(q, axis=1), q.shape[1])
    return confident * cross_entropy(pseudo_label, z)
