import numpy as np
import pytest
import tensorflow as tf

from trainer.data.augmentation import augment


@pytest.fixture
def images():
    return tf.constant(np.random.default_rng(0).integers(256, size=(50, 8, 8, 3)), tf.uint8)


def test_scale_maps_grey_levels_to_minus_one_to_one():
    np.testing.assert_allclose(augment.scale(tf.constant([0, 255], tf.uint8)), [-1, 1])


def test_weak_gives_every_shift_of_the_padded_image(images):
    """Each result is one of the 3x3 crops of its image, mirrored or not; all of them occur."""
    views = augment.weak(images, [1, 2], padding=1, flip=True).numpy()
    padded = augment.scale(tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]])).numpy()
    found = set()
    for view, image in zip(views, padded, strict=True):
        matches = {
            (top, left, mirrored)
            for top in range(3)
            for left in range(3)
            for mirrored in (False, True)
            if np.array_equal(
                view, image[top : top + 8, left : left + 8][:, :: -1 if mirrored else 1]
            )
        }
        assert len(matches) == 1
        found |= matches
    assert len(found) >= 16


def test_weak_mirrors_only_on_request(images):
    np.testing.assert_array_equal(
        augment.weak(images, [1, 2], padding=0, flip=False), augment.scale(images)
    )


@pytest.mark.parametrize("view", ["weak", "strong"])
def test_a_view_follows_from_its_seed(images, view):
    def make(seed):
        if view == "weak":
            return augment.weak(images, seed, 2, True).numpy()
        return augment.strong(augment.scale(images), seed).numpy()

    in_graph = tf.function(make).python_function
    np.testing.assert_array_equal(make([3, 4]), in_graph([3, 4]))
    assert not np.array_equal(make([3, 4]), make([3, 5]))


def test_strong_stays_in_range_and_differs_between_images():
    same = tf.random.stateless_uniform([1, 16, 16, 3], [0, 0], -1, 1)
    views = augment.strong(tf.repeat(same, 20, axis=0), [5, 6]).numpy()
    assert views.shape == (20, 16, 16, 3)
    assert np.abs(views).max() <= 1
    assert len(np.unique(views.reshape(20, -1), axis=0)) == 20


def test_affine_turns_about_the_centre():
    """A disc around the centre stays where it is, up to the shift and the interpolation."""
    y, x = np.mgrid[:33, :33] - 16
    disc = np.where(x**2 + y**2 < 25, 1.0, -1.0)[np.newaxis, ..., np.newaxis]
    views = augment.affine(tf.constant(np.repeat(disc, 200, axis=0), tf.float32), [1, 1]).numpy()
    mass = (views[..., 0] + 1) / 2
    centre = np.stack([(mass * y).sum((1, 2)), (mass * x).sum((1, 2))]) / mass.sum((1, 2))
    assert np.abs(centre).max() < augment.SHIFT * 33 * 1.5
    np.testing.assert_allclose(centre.mean(axis=1), 0, atol=0.6)


def test_cutout_is_one_grey_square():
    white = tf.ones([100, 20, 20, 1])
    holes = augment.cutout(white, [7, 8]).numpy()[..., 0] == 0
    for hole in holes:
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert hole.sum() == len(rows) * len(columns) > 0
        assert max(len(rows), len(columns)) <= augment.CUTOUT * 20 + 1
        assert np.array_equal(rows, np.arange(rows[0], rows[-1] + 1))
