"""Training that allows for wrong labels, on a small budget: the recipe for one's own images."""

import keras
import numpy as np
import tensorflow as tf

from trainer.data.noise.transition import uniform_noise
from trainer.methods.method import Method, cross_entropy

FIRST_RATE = 0.5  # of the uniform noise that is assumed before training has found any
PRIOR = 0.04  # of uniform noise, in mean class sizes, of labels that are right
SURE = 0.8  # how likely a guess has to be


def forward_cross_entropy(log_p, T_given):
    """-log P(given k | x), where P(given k | x) = sum_j P(true j | x) T[j, k].

    Forward correction of Patrini et al., "Making Deep Neural Networks Robust to Label Noise"
    (CVPR 2017): the network tells the true class, though the labels are noisy.

    Args:
      log_p: (B, C), log P(true j | x).
      T_given: (B, C), T[:, k] for the given label k of each example.

    Returns:
      (B,).
    """
    return -tf.reduce_logsumexp(log_p + tf.math.log(T_given), axis=1)


def posterior(log_p, T_given):
    """P(true j | x, given k), (B, C), of the arguments of `forward_cross_entropy`."""
    return tf.nn.softmax(log_p + tf.math.log(T_given))


def guess_cross_entropy(z, q):
    """Cross-entropy with the most likely class, where that is likelier than SURE, and 0 elsewhere.

    Pseudo-labels of Sohn et al., "FixMatch" (NeurIPS 2020).

    Args:
      z: (n, C), logits of strong views.
      q: (n, C), how likely each class is by the weak views and the given labels.

    Returns:
      (n,).
    """
    sure = tf.cast(tf.reduce_max(q, axis=1) > SURE, z.dtype)
    g = tf.one_hot(tf.argmax(q, axis=1), q.shape[1])
    return sure * cross_entropy(g, z)


def turned(images):
    """Each image with one of the turns that keep its shape: four quarters, or two halves.

    Args:
      images: (n, H, W, channels).

    Returns:
      Turned images, in the same order, and their quarter turns, int32 (n,).
    """
    n, H, W, _ = images.shape
    quarters = np.int32([0, 1, 2, 3] if H == W else [0, 2])
    sizes = [len(part) for part in np.array_split(range(n), len(quarters))]
    parts = zip(tf.split(images, sizes), quarters, strict=True)
    x = tf.concat([tf.image.rot90(part, k) for part, k in parts], axis=0)
    return x, tf.constant(np.repeat(quarters, sizes))


class Robust(Method):
    """Allows for noise that it finds itself, and has more to learn from than the given labels.

      L = 1/B (sum_i -log P(y_i | x_i) + sum_m CE(t_m, z_m)
               + turn_factor sum_i -log P(y_i, r_i | x'_i)
               + guess_factor k/K sum_s [q_s > SURE] CE(g_s, z_s))
          + balance_factor sum_j h_j log(h_j / mean_i P(j | x_i)) + R(theta)

    i are B examples, m are trusted images, `trusted_share` B of them, if there are any. s are the
    examples whose strong view is shown; averaged weights guess the class g from the weak one and
    the given label, with probability q. That counts for more with every step k of K, and not at all
    without trusted images, when nothing keeps the guesses from falling onto few classes. The noise
    T[j, k] = P(given k | true j) is found on the way: J[j, k], the joint probability of true and
    given class, follows the mean posterior of the batches, and T has its rows. These are small
    steps of expectation and maximisation (Dawid and Skene, 1979). x' is another view of x, turned
    by r quarters: a second head on the features of the network has to tell both class and turn
    (Lee et al., "Self-supervised Label Augmentation via Input Transformations", ICML 2020). h are
    class sizes by given labels and T, near which those predicted are kept: else some classes grow
    (Tanaka et al., "Joint Optimization Framework for Learning with Noisy Labels", CVPR 2018).
    """

    uses_probe = True
    uses_strong_view = True
    scalars = ("loss", "loss_trusted", "loss_turned", "loss_guessed", "loss_balance", "right")
    coefficients = ("right",)

    def __init__(self, network, config, weight_decay, num_examples, steps_per_epoch=1):
        super().__init__(network, config, weight_decay, num_examples, steps_per_epoch)
        first = uniform_noise(FIRST_RATE, self.num_classes) / self.num_classes
        self.J = tf.Variable(
            tf.cast(first, tf.float32), trainable=False, aggregation=tf.VariableAggregation.MEAN
        )
        self.pace = 1 / max(steps_per_epoch, 2)  # of J, so that it remembers an epoch

    def build(self, input_shape):
        self.head = self.network.layers[-1]
        self.features = keras.Model(self.network.input, self.head.input)
        self.turn_head = keras.layers.Dense(4 * self.num_classes, dtype="float32")
        self.turn_head.build(self.head.input.shape)
        super().build(input_shape)

    @classmethod
    def check(cls, config, data, num_classes):
        """Trusted images help, but there may be none."""

    @classmethod
    def probe_size(cls, config):
        return round(config.trusted_share * config.batch_size)

    @property
    def trained(self):
        return super().trained + self.turn_head.trainable_variables

    @property
    def state(self):
        return super().state | {"J": self.J, "turn_head": self.turn_head}

    def train_step(self, batch):
        y, t = batch["label"], batch["probe_label"]
        B, M, factor = y.shape[0], t.shape[0], self.config.turn_factor
        n = B if factor else 0
        x_turned, r = turned(batch["image"][:n])
        strong = round(self.config.strong_share * B)
        seen = batch["strong_image"][:strong], batch["image"][strong:]
        x = tf.concat([*seen, batch["probe_image"], x_turned], axis=0)
        T = self.transition()
        T_given = tf.gather(tf.transpose(T), y)
        guessed = strong if M else 0
        q = self.guesses(batch["image"][:guessed], T_given[:guessed])
        with tf.GradientTape() as tape:
            features = self.features(x, training=True)
            z, z_trusted = tf.split(self.head(features[: B + M]), [B, M])
            log_p = tf.nn.log_softmax(z)
            loss_given = tf.reduce_mean(forward_cross_entropy(log_p, T_given))
            loss_trusted = tf.reduce_sum(cross_entropy(self.one_hot(t), z_trusted)) / B
            log_p_turned = self.class_and_turn(features[B + M :], r)
            nll_turned = forward_cross_entropy(log_p_turned, T_given[:n])
            loss_turned = factor * tf.reduce_sum(nll_turned) / B
            ce_guessed = guess_cross_entropy(z[: q.shape[0]], q)
            loss_guessed = self.guess_weight() * tf.reduce_sum(ce_guessed) / B
            loss_balance = self.config.balance_factor * self.imbalance(log_p, T)
            loss = loss_given + loss_trusted + loss_turned + loss_guessed + loss_balance
            loss += self.regulariser()
        self.update(self.gradients(tape, loss))
        right = self.learn_noise(y, log_p, T_given)
        self.record.add(batch["id"], {"right": right})
        return self.report(
            loss=loss,
            loss_trusted=loss_trusted,
            loss_turned=loss_turned,
            loss_guessed=loss_guessed,
            loss_balance=loss_balance,
            right=tf.reduce_mean(right),
        )

    def guesses(self, images, T_given):
        """Returns P(true j | image n, given label), (n, C), by the averaged weights; or nothing."""
        if not (self.config.guess_factor and images.shape[0]):
            return tf.zeros([0, self.num_classes])
        z = self.forward(images, self.averages, training=False)
        return posterior(tf.nn.log_softmax(z), T_given)

    def guess_weight(self):
        """From 0 at the first step almost to `guess_factor` at the last."""
        steps = tf.cast(self.optimizer.iterations, tf.float32)
        return self.config.guess_factor * steps / self.config.max_iteration

    def imbalance(self, log_p, T):
        """KL(h || mean prediction), a scalar; h_j = sum_k P(given k) T[j, k] / sum_l T[l, k]."""
        given = tf.reduce_sum(self.J, axis=0)
        h = tf.linalg.matvec(T, given / tf.reduce_sum(T, axis=0))
        return keras.losses.kl_divergence(h, tf.reduce_mean(tf.exp(log_p), axis=0))

    def class_and_turn(self, features, r):
        """Returns log P(true j, turn r_n | image n), (n, C)."""
        log_p = tf.nn.log_softmax(self.turn_head(features))
        log_p = tf.reshape(log_p, [-1, 4, self.num_classes])
        return tf.gather(log_p, r, axis=1, batch_dims=1)

    def transition(self):
        """T (C, C): the rows of J with some of uniform noise at the same rate.

        A label tells c^2 of what a right one does, where it is right c more often than by chance.
        The less labels tell, the more J follows the errors of the network, and the less it counts.
        """
        C, right = self.num_classes, tf.linalg.trace(self.J)
        if not self.config.correct_noise:
            return tf.eye(C)
        prior = right * tf.eye(C) + (1 - right) / (C - 1) * (1 - tf.eye(C))
        c = (C * right - 1) / (C - 1)
        counts = c**2 * self.J + PRIOR / C * prior
        return counts / tf.reduce_sum(counts, axis=1, keepdims=True)

    def learn_noise(self, y, log_p, T_given):
        """A small step of J towards this batch. Returns P(y_i is right | x_i, y_i), (B,)."""
        q = posterior(log_p, T_given)
        joint = tf.transpose(tf.math.unsorted_segment_sum(q, y, self.num_classes))
        self.J.assign_add(self.pace * (joint / y.shape[0] - self.J))
        return tf.gather(q, y, axis=1, batch_dims=1)
