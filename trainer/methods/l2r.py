"""Learning to Reweight Examples (Ren et al., ICML 2018), as simplified in the IEG release."""

import tensorflow as tf

from trainer import meta_gradient
from trainer.methods.method import Method, cross_entropy, example_weights, share


class L2R(Method):
    """sum_i w_i CE(y_i, f(x_i)) + R(theta), where w_i says how much example i helps the probe.

    The lookahead starts from w = 0, so that it follows the regulariser alone, without momentum.
    `meta_gradient="last_layer"` lets only the last dense layer take part in it.
    """

    uses_probe = True
    scalars = ("loss", "loss_probe", "zero_weights")
    coefficients = ("weight",)

    def train_step(self, batch):
        y = self.one_hot(batch["label"])
        with tf.GradientTape(persistent=True) as tape:
            z = self.network(batch["image"], training=True)
            R = self.regulariser()
            with tape.stop_recording():
                M, dM_dw = self.meta_step(batch, self.lookahead_gradients(tape, R))
                w = example_weights(dM_dw)
            loss = tf.reduce_sum(w * cross_entropy(y, z)) + R
        self.update(tape, loss)
        self.record.add(batch["id"], {"weight": w})
        return self.report(loss=loss, loss_probe=M, zero_weights=share(w == 0))

    @property
    def lookahead_theta(self):
        """The variables that take part in the lookahead."""
        return self.theta if self.config.meta_gradient == "exact" else self.last_layer

    def lookahead_gradients(self, tape, loss):
        """Gradient of the lookahead loss; 0 where the regulariser leaves a variable alone."""
        zero = tf.UnconnectedGradients.ZERO
        return tape.gradient(loss, self.lookahead_theta, unconnected_gradients=zero)

    def meta_step(self, batch, gradients):
        """Probe loss M after the lookahead, and dM/dw (B,) at w = 0."""
        theta, alpha = self.lookahead_theta, self.config.meta_stepsize
        frozen = self.theta[: len(self.theta) - len(theta)]
        M, h = meta_gradient.value_and_gradient(
            lambda ahead: self.probe_loss(batch, ahead, frozen),
            meta_gradient.lookahead(theta, gradients, alpha),
        )

        def losses():
            z = self.forward(batch["image"], self.theta)
            return cross_entropy(self.one_hot(batch["label"]), z)

        return M, -alpha * meta_gradient.directional_derivatives(losses, theta, h)
