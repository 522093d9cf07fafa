from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer.networks import resnet29

GOLDEN = Path(__file__).parents[2] / "golden" / "net_resnet29.npz"


def hash_uniform(j, n, seed):
    """The golden README's made-up numbers in [0, 1): (n,) float64."""
    mask = np.uint64(2**32 - 1)
    x = np.arange(n, dtype=np.uint64) * np.uint64(747796405)
    x = (x + np.uint64((j * 2891336453 + seed * 277803737 + 1) % 2**32)) & mask
    x ^= x >> np.uint64(16)
    x = (x * np.uint64(0x7FEB352D)) & mask
    x ^= x >> np.uint64(15)
    x = (x * np.uint64(0x846CA68B)) & mask
    x ^= x >> np.uint64(16)
    return x / 2**32


def fill(j, shape, role, seed):
    u = hash_uniform(j, np.prod(shape), seed).reshape(shape)
    values = {
        "kernel": lambda: np.sqrt(6 / np.prod(shape[:-1])) * (2 * u - 1),
        "gamma": lambda: 0.75 + 0.5 * u,
        "moving_variance": lambda: 0.5 + u,
        "beta": lambda: 0.4 * (u - 0.5),
        "moving_mean": lambda: 0.4 * (u - 0.5),
        "bias": lambda: 0.2 * (u - 0.5),
    }
    return values[role]().astype(np.float32)


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def network(golden):
    """The network with its variables filled in the order in which the forward pass uses them."""
    network = resnet29.build((32, 32, 3), 10)
    variables = [v for layer in network.layers for v in in_golden_order(layer)]
    assert [str(v.name) for v in variables] == list(golden["var_roles"])
    assert ["x".join(map(str, v.shape)) for v in variables] == list(golden["var_shapes"])
    for j, variable in enumerate(variables):
        variable.assign(fill(j, variable.shape, variable.name, int(golden["seed"])))
    sums = [np.sum(v.numpy(), dtype=np.float64) for v in variables]
    np.testing.assert_allclose(sums, golden["var_sums"], atol=1e-4)
    return network


def in_golden_order(layer):
    by_name = {v.name: v for v in layer.variables}
    order = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")
    return [by_name[name] for name in order if name in by_name]


@pytest.fixture(scope="module")
def images(golden):
    shape = (2, 32, 32, 3)
    u = hash_uniform(9999, np.prod(shape), int(golden["seed"])).reshape(shape)
    b, r, c, k = np.indices(shape)
    images = (0.6 * (2 * u - 1) + 0.4 * np.sin(0.21 * r + 0.13 * c * (b + 1) + k)).astype(
        np.float32
    )
    np.testing.assert_allclose(images.ravel()[:16], golden["input_first16"], atol=1e-6)
    return images


def test_golden_logits(network, images, golden):
    inference = network(images, training=False)
    np.testing.assert_allclose(
        inference,
        golden["logits_inference"],
        rtol=0,
        atol=1e-5 * np.abs(golden["logits_inference"]).max(),
    )
    training = network.stateless_call(
        network.trainable_variables, network.non_trainable_variables, images, training=True
    )[0]
    np.testing.assert_allclose(training, golden["logits_training"], rtol=0, atol=1e-4)


def test_golden_regularisers(network, golden):
    np.testing.assert_allclose(tf.add_n(network.losses), golden["regulariser_train"], rtol=1e-5)
    squares = tf.add_n([tf.nn.l2_loss(v.value) for v in network.trainable_variables])
    np.testing.assert_allclose(
        resnet29.WEIGHT_DECAY * squares, golden["regulariser_meta"], rtol=1e-5
    )


@pytest.mark.parametrize("num_classes", [10, 50, 100])
def test_golden_parameter_counts(num_classes, golden):
    network = resnet29.build((32, 32, 3), num_classes)
    trainable = sum(int(np.prod(v.shape)) for v in network.trainable_variables)
    assert trainable == golden[f"params_trainable_{num_classes}_classes"]
    assert network.count_params() == golden[f"params_total_{num_classes}_classes"]
