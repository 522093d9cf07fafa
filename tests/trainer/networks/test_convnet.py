import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.networks import convnet


@pytest.mark.parametrize("image_shape", [(8, 8, 1), (32, 32, 3), (5, 7, 2)])
def test_logits(image_shape):
    network = convnet.build(image_shape, 7)
    assert network(tf.zeros((3, *image_shape))).shape == (3, 7)


def test_the_regulariser_covers_all_trainable_variables():
    network = convnet.build((8, 8, 1), 10)
    squares = sum(np.sum(np.square(v)) for v in network.trainable_variables)
    np.testing.assert_allclose(
        tf.add_n(network.losses), convnet.WEIGHT_DECAY / 2 * squares, rtol=1e-5
    )


def test_a_saved_network_gives_the_same_logits(tmp_path):
    network = convnet.build((8, 8, 1), 10)
    images = tf.random.stateless_uniform((4, 8, 8, 1), [0, 1], -1, 1)
    network(images, training=True)
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(loaded(images), network(images))
