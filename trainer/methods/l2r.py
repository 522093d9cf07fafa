"""Learning to Reweight Examples (Ren et al., ICML 2018), as simplified in the IEG release."""

import tensorflow as tf

from trainer import meta_gradient
from trainer.methods.method import Method, cross_entropy, example_weights


class L2R(Method):
    """sum_i w_i CE(y_i, f(x_i)) + R(theta), where w_i says how much example i helps the probe.

    The lookahead starts from w = 0, so that it follows the regulariser alone, without momentum.
    `meta_gradient="last_layer"` lets only the last dense layer take part in it.
    """

    uses_probe = True
    scalars = ("loss", "loss_probe", "zero_weights")

    def train_step(self, batch):
        y = self.one_hot(batch["label"])
        with tf.GradientTape(persistent=True) as tape:
            z = self.network(batch["image"], training=True)
            R = self.regulariser()
            with tape.stop_recording():
                M, dM_dw = self.meta_step(batch, self.gradients(tape, R))
                w = example_weights(dM_dw)
            loss = tf.reduce_sum(w * cross_entropy(y, z)) + R
        self.update(tape, loss)
        return self.report(loss=loss, loss_probe=M, zero_weights=tf.reduce_mean(tf.cast(w == 0, tf.float32)))

    def gradients(self, tape, loss):
        """Gradient of the lookahead loss; 0 where the regulariser leaves a variable alone."""
        zero = tf.UnconnectedGradients.ZERO
        return tape.gradient(loss, self.lookahead_theta, unconnected_gradients=zero)

    @property
    def lookahead_theta(self):
        """The variables that take part in the lookahead."""
        if self.config.meta_gradient == "exact":
            return self.theta
        return [variable.value for variable in self.network.layers[-1].trainable_variables]

    def meta_step(self, batch, gradients):
        """Probe loss after the lookahead, and its gradient (B,) with respect to w at w = 0."""
        theta, alpha = self.lookahead_theta, self.config.meta_stepsize
        rest = self.theta[: len(self.theta) - len(theta)]
        y_probe = self.one_hot(batch["probe_label"])

        def probe_loss(theta):
            z_probe = self.forward(batch["probe_image"], rest + theta)
            decay = tf.add_n([tf.nn.l2_loss(t) for t in theta])
            return tf.reduce_mean(cross_entropy(y_probe, z_probe)) + self.weight_decay * decay

        M, h = meta_gradient.value_and_gradient(
            probe_loss, meta_gradient.lookahead(theta, gradients, alpha)
        )

        def losses():
            return cross_entropy(self.one_hot(batch["label"]), self.forward(batch["image"], self.theta))

        return M, -alpha * meta_gradient.directional_derivatives(losses, theta, h)
