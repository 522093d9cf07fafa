"""Plain training on the given labels: the baseline."""

from etils import epy

from trainer.methods.losses import cross_entropy
from trainer.methods.method import Method

with epy.lazy_imports():
    import tensorflow as tf


class Supervised(Method):
    """mean_i CE(y_i, f(x_i)) + R(theta)."""

    def train_step(self, batch):
        y = self.one_hot(batch["label"])
        with tf.GradientTape() as tape:
            z = self.network(batch["image"], training=True)
            loss = tf.reduce_mean(cross_entropy(y, z)) + self.regulariser()
        self.update(self.gradients(tape, loss))
        return self.report(loss=loss)
