import numpy as np
import tensorflow as tf

from trainer.optimizer import AveragedMomentum, LossScale


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


def test_gradients_that_overflow_are_skipped_on_all_replicas_and_counted(two_replicas):
    with two_replicas.scope():
        optimizer, weight = LossScale(AveragedMomentum(0.1), initial_scale=4.0), tf.Variable(1.0)
        optimizer.build([weight])

    @tf.function
    def step(gradients):
        two_replicas.run(
            lambda: optimizer.apply(
                [gradients[tf.distribute.get_replica_context().replica_id_in_sync_group]], [weight]
            )
        )

    step(tf.constant([1.0, np.inf]))
    assert (optimizer.iterations, optimizer.dynamic_scale, weight.numpy()) == (1, 2, 1)
    step(tf.constant([1.0, 2.0]))
    assert (optimizer.iterations, optimizer.dynamic_scale) == (2, 2)
    np.testing.assert_allclose(weight.numpy(), 1 - 0.1 * (1 + 2) / 2)
