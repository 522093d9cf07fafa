import numpy as np
import pytest
import tensorflow as tf

from trainer.data.embedded import EmbeddedImages

N, V, D = 6, 3, 4


@pytest.fixture
def rows(tmp_path, rng):
    rows = rng.normal(size=(N, V, D)).astype(np.float16)
    np.save(tmp_path / "train.npy", rows)
    return rows


def views_of(found, rows):
    """Which view of which row each of `found` is."""
    same = (found[:, np.newaxis, np.newaxis] == rows.astype(np.float32)).all(axis=3)
    assert (same.sum(axis=(1, 2)) == 1).all()
    return np.argwhere(same)[:, 1:]


def test_a_weak_view_is_one_of_the_cached_ones(rows, tmp_path):
    ids = np.array([4, 1, 5])
    images = EmbeddedImages(tmp_path, ids)
    positions = tf.constant([2, 0, 1, 2], tf.int64)
    drawn = [views_of(images.weak(positions, [7, seed]).numpy(), rows) for seed in range(30)]
    for found in drawn:
        np.testing.assert_array_equal(found[:, 0], ids[[2, 0, 1, 2]])
    assert {view for found in drawn for view in found[:, 1]} == {0, 1, 2}
    again = views_of(images.weak(positions, [7, 3]).numpy(), rows)
    np.testing.assert_array_equal(again, drawn[3])


def test_a_strong_view_is_another_one(rows, tmp_path):
    images, positions = EmbeddedImages(tmp_path, np.arange(N)), tf.range(N, dtype=tf.int64)
    pairs = set()
    for seed in range(30):
        weak, strong = images.weak_and_strong(positions, [7, seed], [8, seed], 4)
        np.testing.assert_array_equal(weak, images.weak(positions, [7, seed]))
        weak, strong = views_of(weak.numpy(), rows), views_of(strong.numpy(), rows)
        np.testing.assert_array_equal(strong[:, 0], np.arange(4))
        pairs |= set(zip(weak[:4, 1], strong[:, 1], strict=True))
    assert pairs == {(a, b) for a in range(V) for b in range(V) if a != b}


def test_of_one_view_both_are_that(tmp_path, rng):
    rows = rng.normal(size=(N, 1, D)).astype(np.float16)
    np.save(tmp_path / "train.npy", rows)
    images, positions = EmbeddedImages(tmp_path, np.arange(N)), tf.range(N, dtype=tf.int64)
    for found in images.weak_and_strong(positions, [7, 1], [8, 1], N):
        np.testing.assert_array_equal(found, rows[:, 0])


def test_statistics_are_those_of_all_views(rows, tmp_path):
    mean, variance = EmbeddedImages(tmp_path, np.array([0, 2, 3])).statistics()
    chosen = rows[[0, 2, 3]].reshape(-1, D).astype(np.float32)
    np.testing.assert_allclose(mean, chosen.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(variance, chosen.var(axis=0), rtol=1e-5)
