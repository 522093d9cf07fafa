"""What a backbone sees of images.

B batch, V views, S side.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from trainer.data import records, views
from trainer.data.augmentation import augment
from trainer.data.streams import TensorStream

BATCH = 32  # images


def crop_side(dataset, backbone, config):
    """Side of the crops that the backbone sees; 0 where it sees images whole, for their size."""
    config = dataclasses.replace(config, image_size=0)
    return views.crop_side(dataset, config) and backbone["image_side"]


class Views:
    """The views of a split, as a backbone takes them.

    Args:
      dataset_path: Directory of the prepared dataset.
      split: Name of the split.
      config: `trainer.settings.training.TrainSettings`.
      crop_side: Side of crops; 0 where images are seen whole.
      side: S, of the images that the backbone takes.
    """

    def __init__(self, dataset_path, split, config, crop_side, side):
        dataset = records.read_manifest(dataset_path)
        self.split, self.side = split, side
        self.encoded = records.EncodedImages(dataset_path, split)
        if crop_side:
            self.weak = views.Crops(self.encoded, config, crop_side).weak
            self.as_tested = self.middle
        else:
            whole = views.whole_images(self.encoded, dataset, config)
            self.weak = views.WholeImages(whole, config).weak
            self.as_tested = lambda positions: augment.scale(whole(positions))

    def __len__(self):
        return len(self.encoded)

    def middle(self, positions):
        files = views.read_encoded(self.encoded, positions)
        return views.as_tested(files, (self.side, self.side, 3), self.side)

    def batches(self, first, last, count, seed):
        """Views of the images in [first, last), the last batch filled up with its last image.

        Args:
          first: A multiple of BATCH.
          last: Above `first`.
          count: V.
          seed: Of the views, with the places of the images.

        Returns:
          `tf.data.Dataset` of float32 (BATCH, V, S, S, 3), 0..255.
        """
        places = np.minimum(np.arange(first, first - (first - last) // BATCH * BATCH), last - 1)

        @tf.autograph.experimental.do_not_convert
        def batch(positions):
            seen = [self.as_tested(positions)]
            stream = tf.random.fold_in([seed, TensorStream.EMBEDDED_VIEWS], positions[0])
            for each in tf.unstack(tf.random.split(stream, count))[1:]:
                seen.append(self.weak(positions, each))
            return tf.stack([resized(images, self.side) for images in seen], axis=1)

        rows = tf.data.Dataset.from_tensor_slices(places.reshape(-1, BATCH))
        return rows.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def resized(images, side):
    """Views as a backbone takes them: float32 (B, S, S, 3), 0..255; grey ones get three channels.

    Args:
      images: float32 (B, H, W, channels) in [-1, 1].
      side: S.
    """
    if images.shape[-1] == 1:
        images = tf.image.grayscale_to_rgb(images)
    if images.shape[1:3] != (side, side):
        images = tf.image.resize(images, [side, side])
    return (images + 1) * 127.5
