"""Parameter counts, regularisers and logits of the networks equal those of the IEG release."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.networks import NETWORKS

GOLDEN = Path(__file__).parents[2] / "golden"
FILES = {"resnet29": "net_resnet29", "wrn28-10": "net_wrn28_10", "resnet50": "net_resnet50"}


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


def build_with_variables(name, image_size, num_classes):
    """The network, and its variables in the order in which they were made."""
    variables, add_weight = [], keras.layers.Layer.add_weight

    def add_weight_and_note(self, *args, **kwargs):
        variables.append(add_weight(self, *args, **kwargs))
        return variables[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.layers.Layer, "add_weight", add_weight_and_note)
        network = NETWORKS[name].build((image_size, image_size, 3), num_classes)
    return network, variables


@pytest.fixture(scope="module", params=FILES)
def case(request):
    """A network filled with the golden README's numbers, its images, and what it should give."""
    with np.load(GOLDEN / f"{FILES[request.param]}.npz") as arrays:
        golden = dict(arrays)
    size, seed = int(golden["image_size"]), int(golden["seed"])
    network, variables = build_with_variables(request.param, size, int(golden["num_classes"]))
    assert [v.name for v in variables] == list(golden["var_roles"])
    assert ["x".join(map(str, v.shape)) for v in variables] == list(golden["var_shapes"])
    for j, variable in enumerate(variables):
        variable.assign(fill(j, variable.shape, variable.name, seed))
    sums = [np.sum(v.numpy(), dtype=np.float64) for v in variables]
    np.testing.assert_allclose(sums, golden["var_sums"], rtol=1e-5, atol=1e-3)
    return request.param, network, made_up_images(size, golden), golden


def made_up_images(size, golden):
    shape = (2, size, size, 3)
    u = hash_uniform(9999, np.prod(shape), int(golden["seed"])).reshape(shape)
    b, r, c, k = np.indices(shape)
    images = (0.6 * (2 * u - 1) + 0.4 * np.sin(0.21 * r + 0.13 * c * (b + 1) + k)).astype("float32")
    np.testing.assert_allclose(images.ravel()[:16], golden["input_first16"], atol=1e-6)
    return images


def test_golden_logits(case):
    _, network, images, golden = case
    expected = golden["logits_inference"]
    tolerance = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(network(images, training=False), expected, rtol=0, atol=tolerance)
    training = network.stateless_call(
        network.trainable_variables, network.non_trainable_variables, images, training=True
    )[0]
    np.testing.assert_allclose(training, golden["logits_training"], rtol=0, atol=1e-4)


def test_golden_regularisers(case):
    name, network, _, golden = case
    np.testing.assert_allclose(tf.add_n(network.losses), golden["regulariser_train"], rtol=1e-5)
    decay = NETWORKS[name].WEIGHT_DECAY
    squares = tf.add_n([tf.nn.l2_loss(v.value) for v in network.trainable_variables])
    np.testing.assert_allclose(decay * squares, golden["regulariser_meta"], rtol=1e-5)


@pytest.mark.parametrize("num_classes", [10, 50, 100])
def test_golden_parameter_counts(case, num_classes):
    name, network, _, golden = case
    network = NETWORKS[name].build(network.input_shape[1:], num_classes)
    trainable = sum(int(np.prod(v.shape)) for v in network.trainable_variables)
    assert trainable == golden[f"params_trainable_{num_classes}_classes"]
    assert network.count_params() == golden[f"params_total_{num_classes}_classes"]
