"""IEG: Distilling Effective Supervision from Severe Label Noise (Zhang et al., CVPR 2020)."""

from dataclasses import dataclass

from etils import epy

from trainer.methods.losses import consistency, cross_entropy, fraction, normalise
from trainer.methods.method import Method, example_weights
from trainer.methods.mixup import mixup, mixup_draws
from trainer.methods.shared_settings import (
    LookaheadMomentumSettings,
    LookaheadVariablesSettings,
    StrongViewSettings,
)
from trainer.settings.fields import setting

with epy.lazy_imports():
    import tensorflow as tf

    from trainer.methods import meta_gradient

TEMPERATURE = 0.5  # T, sharpening of the guessed labels


def guess_labels(z, z_strong):
    """The model's own labels g (B, C): the mean of its two predictions, sharpened.

    Args:
      z: (B, C) logits of the weakly augmented images.
      z_strong: (B, C) logits of the strongly augmented ones.
    """
    p = (tf.nn.softmax(normalise(z)) + tf.nn.softmax(normalise(z_strong))) / 2
    sharpened = p ** (1 / TEMPERATURE)
    return sharpened / tf.reduce_sum(sharpened, axis=1, keepdims=True)


@dataclass(frozen=True)
class IEGSettings(LookaheadVariablesSettings, LookaheadMomentumSettings, StrongViewSettings):
    """IEG."""

    ce_factor: float = setting(5.0, "weight of the MixUp loss on guessed labels", low=0)
    consistency_factor: float = setting(20.0, "weight of the consistency loss", low=0)
    grad_eps_init: float = setting(
        0.9, "lam0, weight of the given label in the lookahead, in [0, 1]", low=0, high=1
    )
    stop_guess: bool = setting(
        False, "treat guessed labels as constants in the lookahead, which is faster"
    )


class IEG(Method):
    """Weights w and labels chosen on the probe batch, plus two losses that need no label.

    With the label q_i(lam) = lam y_i + (1 - lam) g_i between the given and the guessed one,

      L = 1/2 (mean_i CE(q_i(lam*_i), z_i) + sum_i w_i CE(q_i(lam0), z_i))
          + L_mixup + consistency_factor KL + R(theta)
    """

    Settings = IEGSettings
    needs_probe = uses_probe = True
    advice = "a lower --learning_rate, --ce_factor and --consistency_factor may help"
    scalars = ("loss", "loss_probe", "loss_mixup", "loss_consistency", "zero_weights", "lam")
    coefficients = {
        "weight": ("Learned weights", "mean weight"),
        "lam": ("Label coefficients", "fraction of steps with the given label"),
    }

    @classmethod
    def strong_size(cls, config):
        return config.batch_size

    @classmethod
    def draws(cls, config, num_classes, seeds):
        """MixUp blends the probe examples drawn by `probe_draw` and both views."""
        B = config.batch_size
        probe_draw = tf.random.stateless_uniform([B], seeds[2], 0, B, tf.int32)
        return mixup_draws(3 * B, seeds[:2]) | {"probe_draw": probe_draw}

    def train_step(self, batch):
        y = self.one_hot(batch["label"])
        with tf.GradientTape(persistent=True) as tape:
            z = self.network(batch["image"], training=True)  # only this pass updates moving means
            z_strong = self.side_pass(batch["strong_image"])
            z_A = self.in_meta_precision(z, batch["image"])
            z_strong_A = self.in_meta_precision(z_strong, batch["strong_image"])
            g = guess_labels(z_A, z_strong_A)
            if self.config.stop_guess:
                g = tf.stop_gradient(g)
            R = self.regulariser()
            A = tf.reduce_mean(self.blended_cross_entropy(y, g, z_A)) + R
            with tape.stop_recording():
                M, dM_dw, dM_dlam = self.meta_step(batch, tape, A, [z_A, z_strong_A])
                w = example_weights(dM_dw)
                lam = tf.cast(dM_dlam < 0, z.dtype)
                g = tf.stop_gradient(g)
            chosen = tf.where(lam[:, tf.newaxis] == 1, y, g)
            loss_lam = tf.reduce_mean(cross_entropy(chosen, z))
            loss_w = tf.reduce_sum(w * self.blended_cross_entropy(y, g, z))
            loss_consistency = self.config.consistency_factor * consistency(z, z_strong)
            loss = (loss_lam + loss_w) / 2 + loss_consistency + R
        gradients = self.gradients(tape, loss)
        # One after the other: both sets of activations would need almost twice the memory.
        with tf.control_dependencies(gradients), tf.GradientTape() as tape:
            loss_mixup = self.mixup_loss(batch, g)
        self.update(gradients, self.gradients(tape, loss_mixup))
        self.record.add(batch["id"], {"weight": w, "lam": lam})
        return self.report(
            loss=loss + loss_mixup,
            loss_probe=M,
            loss_mixup=loss_mixup,
            loss_consistency=loss_consistency,
            zero_weights=fraction(w == 0),
            lam=tf.reduce_mean(lam),
        )

    def blended_cross_entropy(self, y, g, z):
        """CE(q_i(lam0), z_i), (B,), of given labels y and guessed ones g."""
        lam0 = self.config.grad_eps_init
        return cross_entropy(lam0 * y + (1 - lam0) * g, z)

    def meta_step(self, batch, tape, A, z):
        """How the probe loss after the lookahead depends on each example.

        Args:
          batch: As for `train_step`.
          tape: On which A and z were computed.
          A: The lookahead loss.
          z: Logits (B, C) of both views in full precision.

        Returns:
          The probe loss M, dM/dw (B,) at w = 1/B and dM/dlam (B,) at lam = grad_eps_init.
        """
        config, (frozen, theta) = self.config, self.lookahead_theta
        alpha = config.meta_stepsize
        gradients = meta_gradient.gradient(tape, A, theta)
        momentums = self.optimizer.momentums[-len(theta) :]
        ahead = meta_gradient.lookahead(theta, gradients, alpha, momentums, config.meta_momentum)
        M, h = meta_gradient.value_and_gradient(
            lambda ahead: self.probe_loss(batch, ahead, frozen), ahead
        )
        y, g = self.one_hot(batch["label"]), guess_labels(*z)
        views = z[:1] if config.stop_guess else z

        def loss_and_its_slope_in_lam(*views):
            guess = g if config.stop_guess else guess_labels(*views)
            loss = self.blended_cross_entropy(y, guess, views[0])
            return loss, cross_entropy(y - guess, views[0])

        dz = meta_gradient.derivatives_of_logits(tape, views, theta, h)
        dl, dslope = meta_gradient.directional_derivatives(loss_and_its_slope_in_lam, views, dz)
        w0 = 1 / tf.cast(tf.size(dl), dl.dtype)
        return M, -alpha * dl, -alpha * w0 * dslope

    def mixup_loss(self, batch, g):
        """Cross-entropy on blends of drawn probe examples and both views of the batch."""
        probe_image = tf.gather(batch["probe_image"], batch["probe_draw"])
        probe_label = tf.gather(batch["probe_label"], batch["probe_draw"])
        images = tf.concat([probe_image, batch["image"], batch["strong_image"]], axis=0)
        labels = tf.concat([self.one_hot(probe_label), g, g], axis=0)
        images, labels = mixup(images, labels, batch["mix_uniform"], batch["mix_permutation"])
        z = tf.split(self.side_pass(images), 3)
        probe, *views = (
            tf.reduce_mean(cross_entropy(labels_part, normalise(z_part)))
            for labels_part, z_part in zip(tf.split(labels, 3), z, strict=True)
        )
        return probe + self.config.ce_factor * sum(views) / 2
