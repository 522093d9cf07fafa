"""Momentum SGD that keeps an average of the weights, and its loss scale for float16."""

import keras
import tensorflow as tf


class AveragedMomentum(keras.optimizers.Optimizer):
    """m <- mu m + g;  theta <- theta - lr m;  average <- d average + (1 - d) theta.

    `keras.optimizers.SGD` folds the learning rate into m, which is something else once the rate
    changes, and in the lookahead. d = min(`ema_decay`, (1 + n) / (10 + n)) after step n = 1, 2, ...

    Args:
      learning_rate: Float or schedule.
      momentum: mu, in [0, 1).
      ema_decay: Largest d, in [0, 1).
    """

    def __init__(self, learning_rate, momentum=0.9, ema_decay=0.999, name="averaged_momentum"):
        super().__init__(learning_rate, name=name)
        self.momentum = momentum
        self.ema_decay = ema_decay

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.momentums = self.add_optimizer_variables(variables, "momentum")
        self.averages = self.add_optimizer_variables(variables, "average")
        for average, variable in zip(self.averages, variables, strict=True):
            average.assign(variable)

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        m, average = self.momentums[index], self.averages[index]
        n = tf.cast(self.iterations + 1, variable.dtype)
        d = tf.minimum(self.ema_decay, (1 + n) / (10 + n))
        self.assign(m, self.momentum * m + gradient)
        self.assign_sub(variable, tf.cast(learning_rate, variable.dtype) * m)
        self.assign_add(average, (1 - d) * (variable - average))


class LossScale(keras.optimizers.LossScaleOptimizer):
    """Skips a step whose gradients overflow, on all replicas alike, but counts it as a step.

    The order of the examples and the end of the training follow the count.
    """

    @property
    def momentums(self):
        return self.inner_optimizer.momentums

    @property
    def averages(self):
        return self.inner_optimizer.averages

    def apply(self, grads, trainable_variables=None):
        step = self.iterations + 1
        super().apply(grads, trainable_variables)
        self.iterations.assign(step)

    def check_finite(self, grads):
        # Keras asks each replica about its own part of the gradients and believes the first.
        finite = tf.cast(super().check_finite(grads), tf.float32)
        return tf.distribute.get_replica_context().all_reduce("MEAN", finite) == 1
