import numpy as np
import tensorflow as tf

from trainer.optimizer import AveragedMomentum


def test_momentum_keeps_gradients_and_not_steps():
    """By hand: m = 0.9 m + g; theta -= lr m, also when the rate changes in between."""
    rates = iter((0.1, 0.01))
    optimizer, weight = AveragedMomentum(lambda: next(rates), momentum=0.9), tf.Variable([1.0, 2.0])
    optimizer.build([weight])
    optimizer.apply([tf.constant([1.0, -1.0])], [weight])
    np.testing.assert_allclose(weight, [0.9, 2.1])
    optimizer.apply([tf.constant([1.0, -1.0])], [weight])
    np.testing.assert_allclose(optimizer.momentums[0], [1.9, -1.9])
    np.testing.assert_allclose(weight, [0.9 - 0.019, 2.1 + 0.019], rtol=1e-6)


def test_the_average_starts_at_the_weights_and_follows_them():
    optimizer, weight = AveragedMomentum(1.0, momentum=0.0), tf.Variable(1.0)
    optimizer.build([weight])
    np.testing.assert_allclose(optimizer.averages[0], 1.0)
    optimizer.apply([tf.constant(1.0)], [weight])
    np.testing.assert_allclose(optimizer.averages[0], 2 / 11, rtol=1e-6)  # d = 2/11, theta = 0


def test_the_decay_is_bounded():
    optimizer, weight = AveragedMomentum(1.0, momentum=0.0, ema_decay=0.5), tf.Variable(1.0)
    optimizer.build([weight])
    optimizer.iterations.assign(10**6)
    optimizer.apply([tf.constant(1.0)], [weight])
    np.testing.assert_allclose(optimizer.averages[0], 0.5)
