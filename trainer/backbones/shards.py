"""Shards of embeddings, files of SHARD images, of which each is made by itself.

D embedding, V views, b images of a batch.
"""

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from trainer import outputs
from trainer.backbones import fetch, seen
from trainer.backbones.seen import BATCH
from trainer.data import records
from trainer.errors import InputError

SHARD = 1_024  # images; whole batches


class Shards:
    """Makes shards of embeddings, each by itself, and with the same numbers in any process.

    Args:
      dataset_path: Directory of the prepared dataset.
      backbone_path: Directory of the backbone.
      config: `trainer.settings.training.TrainSettings`.
      seed: Of the views.
    """

    def __init__(self, dataset_path, backbone_path, config, seed):
        self.arguments = dataset_path, backbone_path, config, seed
        self.views = {"train": config.backbone_views, "test": 1}
        self.opened = {}

    def rows(self, split, first, last):
        """Yields the embeddings of images [first, last), by batch: float16 (b, V, D)."""
        views, count = self.open(split), self.views[split]
        for at, images in zip(
            range(first, last, BATCH), views.batches(first, last, count, self.arguments[-1])
        ):
            found = self.network(tf.reshape(images, [-1, *images.shape[2:]]))
            rows = tf.reshape(tf.cast(found, tf.float16), [BATCH, count, -1])
            yield rows[: last - at].numpy()

    def open(self, split):
        """The `Views` of a split; the network is loaded with the first ones."""
        dataset_path, backbone_path, config, _ = self.arguments
        if not self.opened:
            network = fetch.read_network(backbone_path)
            self.network = tf.function(lambda images: network(images, training=False))
        if split not in self.opened:
            backbone = fetch.read(backbone_path)
            crop_side = seen.crop_side(records.read_manifest(dataset_path), backbone, config)
            made = seen.Views(dataset_path, split, config, crop_side, backbone["image_side"])
            self.opened = {split: made}
        return self.opened[split]


def shard_names(split, size):
    """{file name of a shard: (first, last) of its images}, in order."""
    places = ((first, min(first + SHARD, size)) for first in range(0, size, SHARD))
    return {f"{split}-{first:09d}.npy": (first, last) for first, last in places}


def write_shards(directory, made, split, size):
    """Writes the shards of a split that are not there.

    Args:
      directory: Where to write them.
      made: `Shards`.
      split: Name of the split.
      size: Number of its images.
    """
    with tqdm(desc=f"embed {split}", total=size, unit=" images") as bar:
        for name, (first, last) in shard_names(split, size).items():
            if (directory / name).is_file():
                bar.update(last - first)
                continue
            rows = []
            for batch in made.rows(split, first, last):
                rows.append(batch)
                bar.update(len(batch))
            write_shard(directory / name, np.concatenate(rows))


def write_shard(file, rows):
    """Writes float16 rows so that readers see all of them or none."""
    if not np.isfinite(rows).all():
        rule = "must give numbers that are finite in half precision, below 65,504"
        raise InputError("--backbone", rule, file.name)
    with outputs.replacing(file) as partial, open(partial, "wb") as stream:
        np.save(stream, rows)


def join(file, shards, shape):
    """Writes the rows of all shards into one file; a memory map would crash on a full disk."""
    header = {"descr": "<f2", "fortran_order": False, "shape": shape}
    with outputs.replacing(file) as partial, open(partial, "wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for shard in shards:
            stream.write(np.load(shard).tobytes())
