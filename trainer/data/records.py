"""The prepared dataset: a TensorFlow Datasets directory with ids of our own.

    <prepared_dataset>/
      dataset_info.json, features.json, *.tfrecord-*   `tfds.builder_from_directory` opens them:
                         id int64 (0..N-1 within a split), image (encoded bytes), label
      train_labels.npy, test_labels.npy   int32 (N,), by id; read without touching an image
      manifest.json      source, class_names, image_shape, num_examples

TensorFlow is imported where images are; labels need NumPy only.
"""

import hashlib
import itertools
from pathlib import Path

import numpy as np
from tqdm import tqdm

from trainer import manifest
from trainer.data import sources

VERSION = "1.0.0"
EXAMPLES_PER_SHARD = 10_000
EXAMPLES_PER_WRITE = 1_000


def prepare(source_name, output_path, tfds_data_dir=None):
    """Writes the dataset of a source.

    Args:
      source_name: One of `trainer.config.DATASETS`.
      output_path: Directory to write.
      tfds_data_dir: Where TFDS keeps its prepared datasets.

    Returns:
      The manifest.
    """
    source = sources.load(source_name, tfds_data_dir)
    directory = manifest.start(output_path)
    labels, content = write_examples(directory, source_name, source)
    for split, values in labels.items():
        np.save(directory / f"{split}_labels.npy", np.array(values, np.int32))
    return manifest.finish(
        directory,
        manifest.PREPARED_DATASET,
        id=content.hexdigest(),
        source=source_name,
        class_names=source.class_names,
        image_shape=source.image_shape,
        num_examples={split: len(values) for split, values in labels.items()},
    )


def write_examples(directory, name, source):
    """Streams the source into record files.

    Returns:
      Labels of each split, by id, and a hash of all examples: the record files are written in
      another order of their fields each time.
    """
    import tensorflow_datasets as tfds

    identity = tfds.core.DatasetIdentity(
        name=name, version=tfds.core.Version(VERSION), data_dir=str(directory), module_name=__name__
    )
    features = {
        "id": np.int64,
        "image": tfds.features.Image(shape=source.image_shape),
        "label": tfds.features.ClassLabel(names=source.class_names),
    }
    info = tfds.core.DatasetInfo(
        builder=identity, features=tfds.features.FeaturesDict(features), disable_shuffling=True
    )
    writer = tfds.core.SequentialWriter(info, EXAMPLES_PER_SHARD)
    writer.initialize_splits(list(source.splits))
    labels, content = {}, hashlib.sha256(repr(source.class_names).encode())
    for split, pairs in source.splits.items():
        labels[split] = []
        pairs = iter(tqdm(pairs, desc=f"prepare {name} {split}", unit=" images"))
        while rows := list(itertools.islice(pairs, EXAMPLES_PER_WRITE)):
            first = len(labels[split])
            examples = [
                {"id": first + i, "image": image, "label": label}
                for i, (image, label) in enumerate(rows)
            ]
            writer.add_examples({split: examples})
            labels[split] += [label for _, label in rows]
            for image, label in rows:
                content.update(f"{split} {label} {len(image)} ".encode() + image)
    writer.close_all()
    return labels, content


def read_manifest(path):
    """The manifest of a prepared dataset; InputError if there is none."""
    return manifest.read(path, manifest.PREPARED_DATASET)


def read_labels(path, split):
    """Published labels of a split, int32 (N,), by id."""
    return np.load(Path(path) / f"{split}_labels.npy")


def read_images(path, split):
    """Decoded images of a split, uint8 (N, H, W, channels), by id."""
    import tensorflow_datasets as tfds

    examples = tfds.builder_from_directory(path).as_dataset(split=split, batch_size=-1)
    return examples["image"].numpy()[np.argsort(examples["id"])]
