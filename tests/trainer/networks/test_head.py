import keras
import numpy as np
import pytest

from trainer.networks import head

D, C, DECAY = 6, 3, 0.02


@pytest.fixture
def embeddings(rng):
    return rng.normal(5, [3, 1, 2, 3, 4, 5], size=(40, D)).astype(np.float32)


@pytest.fixture
def network(embeddings):
    network = head.build((D,), C, DECAY)
    head.standardise(network, embeddings.mean(axis=0), embeddings.var(axis=0))
    return network


@pytest.mark.parametrize("training", [False, True])
def test_logits_are_linear_in_the_standardised_embedding(network, embeddings, training):
    kernel, bias = network.layers[-1].get_weights()
    standardised = (embeddings - embeddings.mean(axis=0)) / embeddings.std(axis=0)
    expected = head.NORM / D**0.5 * standardised @ kernel + bias
    found = network(embeddings[:5], training=training)
    np.testing.assert_allclose(found, expected[:5], rtol=1e-3, atol=1e-4)


def test_what_hardly_varies_is_not_blown_up(embeddings):
    network, variance = head.build((D,), C, DECAY), embeddings.var(axis=0)
    variance[2] = 0
    head.standardise(network, embeddings.mean(axis=0), variance)
    kept = network.get_layer(head.STANDARDISE).get_weights()[1]
    assert kept[2] == pytest.approx(head.LOWEST * variance.mean())
    np.testing.assert_array_equal(np.delete(kept, 2), np.delete(variance, 2))


def test_only_the_dense_layer_is_trained_and_its_kernel_decays(network):
    kernel, bias = network.layers[-1].weights
    assert network.trainable_variables == [kernel, bias]
    (regulariser,) = network.losses
    squares = np.square(kernel.numpy()).sum()
    assert float(regulariser) == pytest.approx(DECAY / 2 * squares)


def test_statistics_are_saved_with_it(network, embeddings, tmp_path):
    network.save(tmp_path / "head.keras")
    loaded = keras.saving.load_model(tmp_path / "head.keras")
    np.testing.assert_array_equal(loaded(embeddings), network(embeddings))
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    np.testing.assert_array_equal(copy(embeddings, training=True), network(embeddings))
