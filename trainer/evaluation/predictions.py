"""Predictions of a trained run for prepared images, averaged over their views."""

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from trainer.data import views
from trainer.training import fit


def predict_logits(dataset_path, method, split, ids=None):
    """Logits of the images of a split, as they are tested, with EMA weights.

    Args:
      dataset_path: Directory of a prepared dataset.
      method: Method of a finished run, from `trainer.training.fit.restore`.
      split: Name of the split.
      ids: int64 (N,), ids of the images; all unless given.

    Returns:
      float32 (N, C), in the order of the ids.
    """
    network = fit.averaged_network(method)
    batches = views.test_batches(
        dataset_path, method.config, method.config.val_batch_size, split, ids
    )
    return predict_batches(batches, lambda images: network(images, training=False))


def predict_probabilities(dataset_path, method, split="train"):
    """Class probabilities of all images of a split, with EMA weights.

    They are means over shifted images and, if training mirrors images, over mirror images.

    Args:
      dataset_path: Directory of a prepared dataset.
      method: Method of a finished run, from `trainer.training.fit.restore`.
      split: Name of the split.

    Returns:
      float32 (N, C), by id; rows sum to 1.
    """
    config, network = method.config, fit.averaged_network(method)

    def predict(images):
        seen = shifted_views(images, config.crop_padding)
        if config.horizontal_flip:
            seen += [tf.reverse(image, [2]) for image in seen]
        return tf.add_n([keras.ops.softmax(network(i, training=False)) for i in seen]) / len(seen)

    return predict_batches(
        views.test_batches(dataset_path, config, config.val_batch_size, split), predict
    )


def shifted_views(images, padding):
    """Images (B, H, W, channels), unshifted and shifted to each side as far as in training."""
    _, H, W, _ = images.shape
    black = [[0, 0], [padding, padding], [padding, padding], [0, 0]]
    padded = tf.pad(images, black, constant_values=-1.0)
    corners = {(1, 1), (0, 1), (2, 1), (1, 0), (1, 2)} if padding else {(1, 1)}
    return [
        padded[:, down * padding : down * padding + H, right * padding : right * padding + W]
        for down, right in sorted(corners)
    ]


def predict_batches(batches, function):
    """A function of images (B, H, W, channels) over all batches."""
    function = tf.function(function, reduce_retracing=True)
    shown = tqdm(batches, desc="predict", unit=" batches", total=len(batches), leave=False)
    return np.concatenate([function(batch["image"]).numpy() for batch in shown])
