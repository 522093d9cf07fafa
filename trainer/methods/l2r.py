"""Learning to Reweight Examples (Ren et al., ICML 2018), as simplified in the IEG release."""

from etils import epy

from trainer.methods.losses import cross_entropy, fraction
from trainer.methods.method import Method, example_weights
from trainer.methods.shared_settings import LookaheadVariablesSettings

with epy.lazy_imports():
    import tensorflow as tf

    from trainer.methods import meta_gradient


class L2R(Method):
    """sum_i w_i CE(y_i, f(x_i)) + R(theta), where w_i says how much example i helps the probe.

    The lookahead starts from w = 0, so that it follows the regulariser alone, without momentum.
    `meta_gradient="last_layer"` lets only the last dense layer take part in it.
    """

    Settings = LookaheadVariablesSettings
    needs_probe = uses_probe = True
    scalars = ("loss", "loss_probe", "zero_weights")
    coefficients = {"weight": ("Learned weights", "mean weight")}

    def train_step(self, batch):
        y = self.one_hot(batch["label"])
        with tf.GradientTape(persistent=True) as tape:
            z = self.network(batch["image"], training=True)
            z_A, R = self.in_meta_precision(z, batch["image"]), self.regulariser()
            with tape.stop_recording():
                M, dM_dw = self.meta_step(batch, tape, z_A, R)
                w = example_weights(dM_dw)
            loss = tf.reduce_sum(w * cross_entropy(y, z)) + R
        self.update(self.gradients(tape, loss))
        self.record.add(batch["id"], {"weight": w})
        return self.report(loss=loss, loss_probe=M, zero_weights=fraction(w == 0))

    def meta_step(self, batch, tape, z, R):
        """Probe loss M after the lookahead, and dM/dw (B,) at w = 0.

        Args:
          batch: As for `train_step`.
          tape: On which z and R were computed.
          z: (B, C) logits in full precision.
          R: The regulariser, the only term of the lookahead loss; some variables are not in it.
        """
        (frozen, theta), alpha = self.lookahead_theta, self.config.meta_stepsize
        gradients = meta_gradient.gradient(tape, R, theta)
        M, h = meta_gradient.value_and_gradient(
            lambda ahead: self.probe_loss(batch, ahead, frozen),
            meta_gradient.lookahead(theta, gradients, alpha),
        )
        dz = meta_gradient.derivatives_of_logits(tape, [z], theta, h)
        y = self.one_hot(batch["label"])
        dl = meta_gradient.directional_derivatives(lambda z: cross_entropy(y, z), [z], dz)
        return M, -alpha * dl
