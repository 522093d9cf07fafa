import numpy as np
import pytest
import tensorflow as tf

from trainer.methods.rotation import ClassRotationHead, rotated


@pytest.mark.parametrize(("shape", "quarters"), [((4, 4, 1), {0, 1, 2, 3}), ((4, 6, 1), {0, 2})])
def test_images_are_rotated_by_the_quarters_that_are_returned(shape, quarters, rng):
    images = rng.normal(size=(10, *shape)).astype(np.float32)
    x, turns = rotated(tf.constant(images))
    assert set(turns.numpy()) == quarters
    back = [np.rot90(image, -k) for image, k in zip(x.numpy(), turns.numpy(), strict=True)]
    np.testing.assert_array_equal(back, images)


def test_the_head_gives_a_joint_distribution_of_class_and_rotation(rng):
    head = ClassRotationHead(3)
    features = tf.constant(rng.normal(size=(4, 64)), tf.float32)
    p = [np.exp(head.log_probability(features, np.full(4, r))) for r in range(4)]
    np.testing.assert_allclose(np.sum(p, axis=(0, 2)), 1, rtol=1e-5)
    each = np.exp(head.log_probability(features, np.arange(4)))
    np.testing.assert_allclose(each, np.stack(p)[np.arange(4), np.arange(4)], rtol=1e-5)
