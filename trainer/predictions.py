"""What a trained run says of images that are prepared, averaged over their views."""

import keras
import numpy as np
import tensorflow as tf

from trainer import fit
from trainer.data import views


def logits(dataset_path, method, split, ids=None):
    """Logits of the images of a split, as they are tested, with averaged weights.

    Args:
      dataset_path: Directory of a prepared dataset.
      method: Of a finished run, from `trainer.fit.restore`.
      split: Name of the split.
      ids: int64 (N,), which of its images; all unless given.

    Returns:
      float32 (N, C), in the order of the ids.
    """
    network = fit.averaged_network(method)
    batches = views.test_batches(
        dataset_path, method.config, method.config.val_batch_size, split, ids
    )
    return over(batches, lambda images: network(images, training=False))


def probabilities(dataset_path, method, split="train"):
    """Class probabilities of all images of a split, with averaged weights.

    Where training mirrors images, the mean over each image and its mirror image.

    Args:
      dataset_path: Directory of a prepared dataset.
      method: Of a finished run, from `trainer.fit.restore`.
      split: Name of the split.

    Returns:
      float32 (N, C), by id; rows sum to 1.
    """
    config, network = method.config, fit.averaged_network(method)

    def predict(images):
        seen = [images, images[:, :, ::-1]] if config.horizontal_flip else [images]
        return tf.add_n([keras.ops.softmax(network(i, training=False)) for i in seen]) / len(seen)

    return over(views.test_batches(dataset_path, config, config.val_batch_size, split), predict)


def over(batches, function):
    """A function of images (B, H, W, channels) over all batches."""
    function = tf.function(function, reduce_retracing=True)
    return np.concatenate([function(batch["image"]).numpy() for batch in batches])
