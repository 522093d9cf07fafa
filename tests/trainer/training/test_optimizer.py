import numpy as np
import pytest
import tensorflow as tf

from trainer.training.optimizer import AveragedMomentum, AveragedMuon, LossScale, orthogonal


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


def test_gradients_are_clipped_together_and_some_variables_move_less():
    optimizer = AveragedMomentum(1.0, momentum=0.0, clip_norm=1.0, factors=[0.1])
    first, second = tf.Variable([0.0]), tf.Variable([0.0])
    optimizer.build([first, second])
    optimizer.apply([tf.constant([3.0]), tf.constant([4.0])], [first, second])
    np.testing.assert_allclose([*first.numpy(), *second.numpy()], [-0.06, -0.8], rtol=1e-6)


@pytest.mark.parametrize("shape", [(18, 8), (3, 16), (4, 4)])
def test_a_matrix_is_made_orthogonal_nearly(shape):
    matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    U, _, V = np.linalg.svd(matrix, full_matrices=False)
    found = U.T @ orthogonal(tf.constant(matrix)).numpy() @ V.T
    singular = np.diag(found)
    np.testing.assert_allclose(found, np.diag(singular), atol=1e-4)
    assert np.all((singular > 0.6) & (singular < 1.3))


def test_muon_turns_kernels_by_the_rate_and_not_by_the_size_of_the_gradient():
    rng = np.random.default_rng(0)
    kernel, gradient = (rng.normal(size=(3, 3, 4, 8)).astype(np.float32) for _ in range(2))
    ends = []
    for factor in (1.0, 1000.0):
        optimizer, k = AveragedMuon(0.3), tf.Variable(kernel)
        optimizer.build([k])
        optimizer.apply([tf.constant(factor * gradient)], [k])
        ends.append(k.numpy())
    np.testing.assert_allclose(*ends, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(ends[0]), np.linalg.norm(kernel), rtol=1e-5)
    turned = np.linalg.norm(ends[0] - kernel) / np.linalg.norm(kernel)
    assert turned == pytest.approx(0.05, rel=0.05)
    assert np.sum((ends[0] - kernel) * gradient) < 0


def test_without_a_gradient_muon_stays():
    optimizer, k = AveragedMuon(0.3), tf.Variable(np.ones((3, 3, 1, 2), np.float32))
    optimizer.build([k])
    optimizer.apply([tf.zeros_like(k)], [k])
    np.testing.assert_allclose(k, 1, rtol=1e-6)


def test_muon_moves_other_variables_as_momentum_does():
    ends = []
    for kind in (AveragedMomentum, AveragedMuon):
        optimizer, weight = kind(0.1), tf.Variable([[1.0, 2.0]])
        optimizer.build([weight])
        for _ in range(3):
            optimizer.apply([tf.constant([[0.5, -1.0]])], [weight])
        ends.append(weight.numpy())
    np.testing.assert_array_equal(*ends)


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
