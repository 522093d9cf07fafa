import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.networks.batch_norm import FusedBatchNorm

INPUTS = tf.random.stateless_normal((4, 3, 3, 2), [1, 2], 5.0, 3.0)


def test_training_normalises_as_keras_does():
    ours, theirs = FusedBatchNorm(), keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    np.testing.assert_allclose(
        ours(INPUTS, training=True), theirs(INPUTS, training=True), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, rtol=1e-5)


def test_the_moving_variance_takes_the_unbiased_one():
    layer = FusedBatchNorm()
    layer(INPUTS, training=True)
    unbiased = np.var(INPUTS.numpy().reshape(-1, 2), axis=0, ddof=1)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * unbiased, rtol=1e-5)


def test_inference_uses_the_moving_statistics_and_leaves_them():
    layer = FusedBatchNorm()
    layer.build(INPUTS.shape)
    layer.moving_mean.assign([1.0, 2.0])
    layer.moving_variance.assign([4.0, 9.0])
    expected = (INPUTS - [1.0, 2.0]) / np.sqrt([4.0 + 1e-5, 9.0 + 1e-5])
    np.testing.assert_allclose(layer(INPUTS), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(layer.moving_mean, [1.0, 2.0])


def test_forward_mode_agrees_with_finite_differences():
    layer = FusedBatchNorm()
    layer.build(INPUTS.shape)
    direction = tf.random.stateless_normal(INPUTS.shape, [3, 4])
    with tf.autodiff.ForwardAccumulator(INPUTS, direction) as accumulator:
        outputs = layer(INPUTS, training=True)
    step = 1e-2
    up, down = (layer(INPUTS + sign * step * direction, training=True) for sign in (1, -1))
    np.testing.assert_allclose(accumulator.jvp(outputs), (up - down) / (2 * step), atol=2e-3)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("training", [False, True])
def test_half_inputs(dtype, training):
    """Values and forward-mode products have the type of the input; statistics stay float32."""
    full, half = FusedBatchNorm(), FusedBatchNorm(dtype=f"mixed_{dtype}")
    direction = tf.random.stateless_normal(INPUTS.shape, [3, 4])
    results = []
    for layer, inputs in ((full, INPUTS), (half, tf.cast(INPUTS, dtype))):
        layer.build(INPUTS.shape)
        with tf.autodiff.ForwardAccumulator(inputs, tf.cast(direction, inputs.dtype)) as forward:
            outputs = layer(inputs, training=training)
        results.append((outputs, forward.jvp(outputs)))
        assert {tensor.dtype for tensor in results[-1]} == {inputs.dtype}
    for expected, actual in zip(*results, strict=True):
        np.testing.assert_allclose(tf.cast(actual, tf.float32), expected, atol=0.05)
    assert {variable.dtype for variable in half.variables} == {"float32"}
