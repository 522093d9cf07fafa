"""Momentum SGD and Muon, both with EMA weights, and the loss scale for float16."""

import keras
import tensorflow as tf

KERNEL_SCALE = 1 / 6  # of the learning rate: how far Muon turns a kernel in a step
TINY = 1e-7


class AveragedMomentum(keras.optimizers.Optimizer):
    """m <- mu m + g;  theta <- theta - lr m;  average <- d average + (1 - d) theta.

    `keras.optimizers.SGD` multiplies m by the learning rate, which differs once the learning rate
    changes, and in the lookahead. d = min(`ema_decay`, (1 + n) / (10 + n)) after step n = 1, 2, ...

    Args:
      learning_rate: Float or schedule.
      momentum: mu, in [0, 1).
      ema_decay: Largest d, in [0, 1).
      clip_norm: Global norm to which the gradients of a replica are clipped; 0 for none.
      factors: Of the learning rate, one per variable; 1 for those beyond the list.
    """

    def __init__(
        self,
        learning_rate,
        momentum=0.9,
        ema_decay=0.999,
        clip_norm=0.0,
        factors=(),
        name="averaged_momentum",
    ):
        super().__init__(learning_rate, name=name, global_clipnorm=clip_norm or None)
        self.momentum = momentum
        self.ema_decay = ema_decay
        self.factors = list(factors)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.momentums = self.add_optimizer_variables(variables, "momentum")
        self.averages = self.add_optimizer_variables(variables, "average")
        for average, variable in zip(self.averages, variables, strict=True):
            average.assign(variable)

    def apply(self, grads, trainable_variables=None):
        n = tf.cast(self.iterations + 1, tf.float32)
        self.new_share = 1 - tf.minimum(self.ema_decay, (1 + n) / (10 + n))  # once for all
        super().apply(grads, trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        m, average = self.momentums[index], self.averages[index]
        rate = tf.cast(learning_rate, variable.dtype)
        if index < len(self.factors):
            rate *= self.factors[index]
        self.move(variable, gradient, m, rate)
        new_share = tf.cast(self.new_share, variable.dtype)
        self.assign_add(average, new_share * (variable - average))

    def move(self, variable, gradient, m, learning_rate):
        """One operation for m and theta, which is quicker to trace than its parts."""
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=m.value.handle,
            lr=learning_rate,
            grad=gradient,
            momentum=self.momentum,
            use_locking=True,
        )


class AveragedMuon(AveragedMomentum):
    """Momentum SGD whose steps change all directions of a convolution kernel equally.

      o = orthogonal(g + mu m);  k <- |k_0| (k - u) / |k - u|,  u = KERNEL_SCALE lr |k| o / |o|

    for kernels k, as matrices (inputs, filters); other variables move as in `AveragedMomentum`.
    Kernels keep their norm, which batch normalisation makes irrelevant. So the learning rate sets
    the angle of a step, and weight decay has no effect on kernels. Muon (Jordan et al., "Muon: an
    optimizer for hidden layers in neural networks", 2024), with the norms of the "airbench" runs of
    CIFAR-10 (Jordan, 2024). `keras.optimizers.Muon` does not support convolution kernels.
    """

    def move(self, variable, gradient, m, learning_rate):
        if len(variable.shape) < 4:
            return super().move(variable, gradient, m, learning_rate)
        self.assign(m, self.momentum * m + gradient)
        k = tf.convert_to_tensor(variable)
        direction = tf.reshape(gradient + self.momentum * m, [-1, k.shape[-1]])
        o = tf.reshape(orthogonal(direction), k.shape)
        size = tf.norm(k)
        moved = k - KERNEL_SCALE * learning_rate * size * o / (tf.norm(o) + TINY)
        self.assign(variable, size * moved / tf.norm(moved))


def orthogonal(matrix):
    """About the nearest orthogonal matrix: singular values in about [0.7, 1.2].

    Five steps of the Newton-Schulz iteration, with the coefficients of Muon.
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else tf.transpose(matrix)
    x /= tf.norm(x) + TINY
    for _ in range(5):
        square = tf.matmul(x, x, transpose_b=True)
        x = 3.4445 * x + tf.matmul(-4.775 * square + 2.0315 * tf.matmul(square, square), x)
    return x if wide else tf.transpose(x)


OPTIMIZERS = {"momentum": AveragedMomentum, "muon": AveragedMuon}


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
        # Keras asks each replica about its own part of the gradients and takes the first answer.
        finite = tf.cast(super().check_finite(grads), tf.float32)
        return tf.distribute.get_replica_context().all_reduce("MEAN", finite) == 1
