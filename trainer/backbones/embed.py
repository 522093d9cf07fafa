"""The embeddings of all images of a dataset: what a backbone makes of them, once.

<embeddings>/
  train.npy        float16 (N, V, D), by id: view 0 as tests see the image, the others by weak
                   augmentation
  test.npy         float16 (T, 1, D), by id
  asked.json       what they were made from and how
  manifest.json    views (V), embedding_size (D), crop_side and image_shape of the views, backbone

Images are embedded in shards of SHARD. Each is written by rename, and a run that was cut off
resumes after the last one. N training images, T test images, B batch, S side.
"""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from trainer import artifacts, outputs
from trainer.backbones import fetch
from trainer.backbones.seen import resized
from trainer.data import records, views
from trainer.data.augmentation import augment
from trainer.data.streams import TensorStream
from trainer.errors import InputError

SHARD, BATCH = 1_024, 32  # images; a shard is of whole batches
SHARDS, ASKED = "shards", "asked.json"
OF_BACKBONE = ("name", "source", "licence", "sha256", "image_side", "needs")


@artifacts.enough_room()
def embed(dataset_path, backbone_path, output_path, config, seed=0):
    """Writes embeddings, unless they are there already; resumes where an earlier call was cut off.

    Args:
      dataset_path: Directory of the prepared dataset.
      backbone_path: Directory of the backbone.
      output_path: Directory to write.
      config: `trainer.settings.training.TrainSettings`: number of views, weak augmentation.
      seed: Of the views.

    Returns:
      The manifest.

    Raises:
      InputError: Artifacts that are not whole, a full disk, or embeddings that are not finite.
    """
    dataset, backbone = records.read_manifest(dataset_path), fetch.read(backbone_path)
    asked = {
        "dataset": dataset["id"],
        "backbone": backbone["id"],
        "views": config.backbone_views,
        "crop_padding": config.crop_padding,
        "horizontal_flip": config.horizontal_flip,
        "seed": seed,
    }
    directory = open_directory(output_path, asked)
    if (directory / artifacts.MANIFEST).is_file():
        return artifacts.read(directory, artifacts.EMBEDDINGS)
    # Whether images are seen whole follows from their size alone.
    config = dataclasses.replace(config, image_size=0)
    crop_side = views.crop_side(dataset, config) and backbone["image_side"]
    network = fetch.read_network(backbone_path)
    for split, count in (("train", config.backbone_views), ("test", 1)):
        file = directory / f"{split}.npy"
        if not file.is_file():
            seen = Views(dataset_path, split, config, crop_side, backbone["image_side"])
            shards = list(write_shards(directory / SHARDS, network, seen, count, seed))
            shape = (len(seen), count, backbone["embedding_size"])
            join(file, shards, shape)
    shutil.rmtree(directory / SHARDS, ignore_errors=True)
    return artifacts.finish(
        directory,
        artifacts.EMBEDDINGS,
        {m["kind"]: m for m in (dataset, backbone)},
        views=config.backbone_views,
        embedding_size=backbone["embedding_size"],
        crop_side=crop_side,
        image_shape=[crop_side, crop_side, 3] if crop_side else dataset["image_shape"],
        backbone={name: backbone[name] for name in OF_BACKBONE if name in backbone},
    )


def open_directory(path, asked):
    """The directory, new, or with what an earlier call for the same has left there."""
    try:
        there = json.loads(Path(path, ASKED).read_text())
    except (OSError, ValueError):
        there = None
    if there != asked:
        artifacts.start(path)
        artifacts.write_json(Path(path, ASKED), asked)
    return Path(path)


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


def write_shards(directory, network, seen, count, seed):
    """Embeds what has not been; yields the files of all shards, in order.

    Args:
      directory: Where to write them.
      network: From images (B, S, S, 3) to embeddings (B, D).
      seen: `Views`.
      count: V.
      seed: Of the views.
    """
    directory.mkdir(exist_ok=True)
    embeddings = tf.function(lambda images: network(images, training=False))
    with tqdm(desc=f"embed {seen.split}", total=len(seen), unit=" images") as bar:
        for first in range(0, len(seen), SHARD):
            last = min(first + SHARD, len(seen))
            file = directory / f"{seen.split}-{first:09d}.npy"
            if not file.is_file():
                rows = []
                for images in seen.batches(first, last, count, seed):
                    found = embeddings(tf.reshape(images, [-1, *images.shape[2:]]))
                    rows.append(tf.reshape(tf.cast(found, tf.float16), [BATCH, count, -1]).numpy())
                    bar.update(min(BATCH, last - first - BATCH * (len(rows) - 1)))
                write_shard(file, np.concatenate(rows)[: last - first])
            else:
                bar.update(last - first)
            yield file


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
