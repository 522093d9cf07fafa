"""Predictions of a trained run for prepared images, averaged over their views."""

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from trainer.data import input_pipeline, partly_embedded
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
    return predict_batches(
        batches(dataset_path, method, split, ids),
        lambda batch: network(batch["image"], training=False),
    )


def last_features(dataset_path, method, split):
    """What the last layer of the network sees of each image, float32 (N, D), by id."""
    network = fit.averaged_network(method)
    features = keras.Model(network.inputs, network.layers[-1].input)
    return predict_batches(
        batches(dataset_path, method, split),
        lambda batch: features(batch["image"], training=False),
    )


def batches(dataset_path, method, split, ids=None):
    """Those of a split as the method is tested; see `trainer.data.input_pipeline.test_batches`."""
    config, path = method.config, method.embeddings_path
    return input_pipeline.test_batches(
        dataset_path, config, config.val_batch_size, split, ids, embeddings_path=path
    )


def predict_probabilities(dataset_path, method, split="train"):
    """Class probabilities of all images of a split, with EMA weights.

    They are means over shifted images and, if training mirrors images, over mirror images; for
    embeddings means over the views; for fine-tuned networks over the image and its mirror image.

    Args:
      dataset_path: Directory of a prepared dataset.
      method: Method of a finished run, from `trainer.training.fit.restore`.
      split: Name of the split.

    Returns:
      float32 (N, C), by id; rows sum to 1.
    """
    config, network = method.config, fit.averaged_network(method)

    def predict(batch):
        if config.on_embeddings:
            seen = tf.unstack(batch["views"], axis=1)
        else:
            # A pass through a backbone is slow, and shifts change its answers little.
            padding = 0 if config.finetune else config.crop_padding
            seen = shifted_views(batch.get("pixels", batch["image"]), padding)
            if config.horizontal_flip:
                seen += [tf.reverse(image, [2]) for image in seen]
            if "numbers" in batch:
                seen = [partly_embedded.join(image, batch["numbers"]) for image in seen]
        return tf.add_n([keras.ops.softmax(network(i, training=False)) for i in seen]) / len(seen)

    return predict_batches(batches(dataset_path, method, split), predict)


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
    """A function of a batch, over all batches."""
    function = tf.function(function, reduce_retracing=True)
    shown = tqdm(batches, desc="predict", unit=" batches", total=len(batches), leave=False)
    return np.concatenate([function(batch).numpy() for batch in shown])
