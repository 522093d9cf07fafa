"""Losses that methods share. B batch, C classes."""

from etils import epy

with epy.lazy_imports():
    import tensorflow as tf


def cross_entropy(labels, logits):
    """Per-example cross-entropy, -sum_c q_c log softmax(z)_c.

    Args:
      labels: q, (B, C), rows sum to 1; gradients flow through them.
      logits: z, (B, C).

    Returns:
      (B,).
    """
    return -tf.reduce_sum(labels * tf.nn.log_softmax(logits), axis=1)


def normalise(logits):
    """n(z) = z / sqrt(mean z^2), the mean taken over the whole tensor."""
    return logits * tf.math.rsqrt(tf.reduce_mean(tf.square(logits)) + 1e-8)


def consistency(z, z_strong):
    """mean_b KL(softmax(z) || softmax(z_strong)); the weak view is the fixed target."""
    log_p, log_q = tf.stop_gradient(tf.nn.log_softmax(z)), tf.nn.log_softmax(z_strong)
    return tf.reduce_mean(tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), axis=1))


def fraction(condition):
    """Fraction of entries that are true, in [0, 1]."""
    return tf.reduce_mean(tf.cast(condition, tf.float32))
