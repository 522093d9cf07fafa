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
import functools
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
OF_BACKBONE = (
    *("name", "source", "licence", "sha256", "image_side", "needs", "smaller_side", "kept_size"),
)


@artifacts.enough_room()
def embed(dataset_path, backbone_path, output_path, config, seed=0, files=None):
    """Writes embeddings, unless they are there already; resumes where an earlier call was cut off.

    Args:
      dataset_path: Directory of the prepared dataset.
      backbone_path: Directory of the backbone.
      output_path: Directory to write.
      config: `trainer.settings.training.TrainSettings`: number of views, weak augmentation.
      seed: Of the views.
      files: `trainer.settings.data.DataSettings`, whose Beam runner, if any, embeds the images.

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
    (directory / SHARDS).mkdir(exist_ok=True)
    made = Shards(dataset_path, backbone_path, config, seed)
    write = write_shards
    if files and files.beam_runner:
        from trainer.backbones import beam  # takes seconds to import

        write = functools.partial(beam.write_shards, settings=files, asked=asked)
    for split, size in dataset["num_examples"].items():
        file = directory / f"{split}.npy"
        if split in made.views and not file.is_file():
            write(directory / SHARDS, made, split, size)
            shape = (size, made.views[split], backbone["embedding_size"])
            join(file, [directory / SHARDS / name for name in shard_names(split, size)], shape)
    shutil.rmtree(directory / SHARDS, ignore_errors=True)
    crop_side = crop_side_of(dataset, backbone, config)
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


def crop_side_of(dataset, backbone, config):
    """Side of the crops that the backbone sees; 0 where it sees images whole, for their size."""
    config = dataclasses.replace(config, image_size=0)
    return views.crop_side(dataset, config) and backbone["image_side"]


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
        self.seen = {}

    def rows(self, split, first, last):
        """Yields the embeddings of images [first, last), by batch: float16 (b, V, D)."""
        seen, count = self.open(split), self.views[split]
        for at, images in zip(
            range(first, last, BATCH), seen.batches(first, last, count, self.arguments[-1])
        ):
            found = self.network(tf.reshape(images, [-1, *images.shape[2:]]))
            rows = tf.reshape(tf.cast(found, tf.float16), [BATCH, count, -1])
            yield rows[: last - at].numpy()

    def open(self, split):
        """The `Views` of a split; the network is loaded with the first ones."""
        dataset_path, backbone_path, config, _ = self.arguments
        if not self.seen:
            network = fetch.read_network(backbone_path)
            self.network = tf.function(lambda images: network(images, training=False))
        if split not in self.seen:
            backbone = fetch.read(backbone_path)
            crop_side = crop_side_of(records.read_manifest(dataset_path), backbone, config)
            made = Views(dataset_path, split, config, crop_side, backbone["image_side"])
            self.seen = {split: made}
        return self.seen[split]


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
