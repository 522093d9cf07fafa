import numpy as np
import pytest
import tensorflow as tf

from trainer.methods.method import in_precision
from trainer.networks import NETWORKS

SIZES = {"convnet": 8, "resnet29": 16, "wrn28-10": 8, "resnet50": 64}
LARGE = ("wrn28-10", "resnet50")
EPSILONS = {"bfloat16": 2.0**-7, "float16": 2.0**-10}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in NETWORKS],
)
def test_logits_are_float32_and_close_to_those_of_full_precision(name):
    """With moving statistics: with batch statistics resnet50 magnifies any rounding 30 times."""
    shape = (SIZES[name], SIZES[name], 3)
    network = NETWORKS[name].build(shape, 10)
    images = tf.random.stateless_uniform((4, *shape), [0, 1], -1, 1)
    expected = network(images)
    for dtype, epsilon in EPSILONS.items():
        half = in_precision(network, dtype)
        logits = half(images)
        assert logits.dtype == tf.float32
        assert 0 < np.abs(logits - expected).max() < 4 * epsilon * np.abs(expected).max()
        assert {layer.compute_dtype for layer in half.layers[:-1]} == {dtype}
        assert {variable.dtype for variable in half.variables} == {"float32"}
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
