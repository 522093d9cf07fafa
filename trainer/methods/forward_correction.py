"""Forward correction: the loss goes through the transition matrix, which EM estimates.

T[j, k] = P(given k | true j). B batch, C classes.
"""

import keras
import tensorflow as tf

from trainer.data.noise.transition import uniform_noise

HIGHEST_ACCURACY = 1 - 1e-6  # rounding may take the trace of J to above 1, and T to below 0


def forward_cross_entropy(log_p, T_given):
    """-log P(given k | x), where P(given k | x) = sum_j P(true j | x) T[j, k].

    Forward correction of Patrini et al., "Making Deep Neural Networks Robust to Label Noise"
    (CVPR 2017): the network learns to predict the true class from noisy labels.

    Args:
      log_p: (B, C), log P(true j | x).
      T_given: (B, C), T[:, k] for the given label k of each example.

    Returns:
      (B,).
    """
    return -tf.reduce_logsumexp(log_p + tf.math.log(T_given), axis=1)


def true_label_posterior(log_p, T_given):
    """P(true j | x, given k), (B, C), of the arguments of `forward_cross_entropy`."""
    return tf.nn.softmax(log_p + tf.math.log(T_given))


def class_prior_divergence(prior, log_p):
    """KL(prior || mean prediction), a scalar (Tanaka et al., CVPR 2018).

    It keeps predictions from drifting to few classes: "Joint Optimization Framework for Learning
    with Noisy Labels".

    Args:
      prior: (C,), sums to 1.
      log_p: (B, C).
    """
    return keras.losses.kl_divergence(prior, tf.reduce_mean(tf.exp(log_p), axis=0))


class TransitionMatrix(tf.Module):
    """EM estimate of T from batches (Dawid and Skene, 1979, with one annotator).

    The joint J[j, k] = P(true j, given k) moves towards the mean posterior of each batch; `matrix`
    derives T from J.

    Args:
      num_classes: C.
      initial_noise_rate: Rate of the uniform noise to start from, in [0, 1].
      prior: Weight of uniform noise at the current rate, in mean class sizes.
      em_rate: How far J moves towards a batch, in [0, 1].
    """

    def __init__(self, num_classes, initial_noise_rate, prior, em_rate):
        super().__init__()
        first = uniform_noise(initial_noise_rate, num_classes) / num_classes
        self.J = tf.Variable(
            tf.cast(first, tf.float32), trainable=False, aggregation=tf.VariableAggregation.MEAN
        )
        self.prior, self.em_rate = prior, em_rate

    def matrix(self):
        """T (C, C): rows of c^2 J with a prior of uniform noise at the same rate.

        c is how much more often than by chance a label is true. With less informative labels J
        follows the errors of the network more, and so its weight is lower.
        """
        C = self.J.shape[0]
        accuracy = tf.minimum(tf.linalg.trace(self.J), HIGHEST_ACCURACY)
        uniform = accuracy * tf.eye(C) + (1 - accuracy) / (C - 1) * (1 - tf.eye(C))
        c = (C * accuracy - 1) / (C - 1)
        counts = c**2 * self.J + self.prior / C * uniform
        return counts / tf.reduce_sum(counts, axis=1, keepdims=True)

    def class_prior(self, T):
        """H (C,): h_j = sum_k P(given k) T[j, k] / sum_l T[l, k]."""
        given = tf.reduce_sum(self.J, axis=0)
        return tf.linalg.matvec(T, given / tf.reduce_sum(T, axis=0))

    def update(self, y, posterior):
        """Moves J towards a batch of given labels y (B,) and `true_label_posterior` (B, C)."""
        joint = tf.transpose(tf.math.unsorted_segment_sum(posterior, y, self.J.shape[0]))
        self.J.assign_add(self.em_rate * (joint / y.shape[0] - self.J))
