"""Images as the embeddings of their views, in place of pixels.

A weak view is one of the V cached views, a strong one another, and a test sees view 0. B batch, D
embedding.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from trainer import artifacts
from trainer.data import records


class EmbeddedImages:
    """The cached views of some images; those of `trainer.data.views` make theirs of pixels.

    Args:
      path: Directory of embeddings.
      ids: int64 (n,), which images of the train split, and in what order.
      count: How many of the D numbers, the first ones; all unless given.
    """

    def __init__(self, path, ids, count=None):
        rows = np.load(Path(path) / "train.npy", mmap_mode="r")[ids, :, :count]
        self.views = rows.shape[1]
        # A tensor, since an array used inside `Dataset.map` would become a constant of the graph.
        with tf.device("CPU"):
            self.rows = tf.constant(rows)

    def weak(self, positions, seed):
        """A view of each image, drawn by the seed: float32 (B, D)."""
        return self.seen(positions, self.drawn(positions, seed))

    def weak_and_strong(self, positions, weak_seed, strong_seed, size):
        """The weak views, and of the first `size` another one, where there are several."""
        drawn, others = self.drawn(positions, weak_seed), max(self.views - 1, 1)
        further = tf.random.stateless_uniform([size], strong_seed, 0, others, tf.int32)
        strong = (drawn[:size] + 1 + further) % self.views
        return self.seen(positions, drawn), self.seen(positions[:size], strong)

    def drawn(self, positions, seed):
        """Which view of each image, int32 (B,)."""
        return tf.random.stateless_uniform([positions.shape[0]], seed, 0, self.views, tf.int32)

    def seen(self, positions, drawn):
        places = tf.stack([positions, tf.cast(drawn, positions.dtype)], axis=1)
        return tf.cast(tf.gather_nd(self.rows, places), tf.float32)

    def first_view(self):
        """The embedding of each image as a test sees it, float32 (n, D), a NumPy array."""
        return self.rows[:, 0].numpy().astype(np.float32)

    def statistics(self):
        """Mean and variance over all images and views, float32 (D,) each."""
        rows = tf.cast(self.rows, tf.float32)
        return tf.math.reduce_mean(rows, axis=[0, 1]), tf.math.reduce_variance(rows, axis=[0, 1])


def read_manifest(path, dataset):
    """The manifest of embeddings; InputError if they are not whole or of another dataset.

    Args:
      path: Their directory.
      dataset: Manifest of the prepared dataset.
    """
    embeddings = artifacts.read(path, artifacts.EMBEDDINGS)
    artifacts.check_parent(embeddings, dataset)
    return embeddings


def test_batches(dataset_path, path, batch_size, split="test", ids=None):
    """One pass over a split, or those `ids` of it, in order, as `trainer.data.views.test_batches`.

    Args:
      dataset_path: Directory of the prepared dataset.
      path: Directory of its embeddings.
      batch_size: B.
      split: Name of the split.
      ids: int64 (N,), all unless given.

    Returns:
      `tf.data.Dataset` of dictionaries: image float32 (B, D), view 0, label (B,), and views
      float32 (B, V, D).
    """
    read_manifest(path, records.read_manifest(dataset_path))
    labels, rows = records.read_labels(dataset_path, split), np.load(Path(path) / f"{split}.npy")
    if ids is not None:
        labels, rows = labels[ids], rows[ids]

    def batch(rows, labels):
        rows = tf.cast(rows, tf.float32)
        return {"image": rows[:, 0], "label": labels, "views": rows}

    batches = tf.data.Dataset.from_tensor_slices((rows, labels)).batch(batch_size).map(batch)
    return batches.prefetch(tf.data.AUTOTUNE)
