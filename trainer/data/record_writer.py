"""Record files of a source, in the form of TensorFlow Datasets, written as a stream."""

import itertools
from array import array

import numpy as np
from tqdm import tqdm

from trainer.data.sources.image_check import digest

VERSION = "1.0.0"
EXAMPLES_PER_SHARD = 10_000
EXAMPLES_PER_WRITE = 100


def record_features(source):
    """The features of a record."""
    import tensorflow_datasets as tfds

    return tfds.features.FeaturesDict(
        {
            "id": np.int64,
            "image": tfds.features.Image(shape=source.image_shape),
            "label": tfds.features.ClassLabel(names=source.class_names),
        }
    )


def write_records(directory, name, source):
    """Writes record files, and the metadata that `tfds.builder_from_directory` needs.

    Args:
      directory: The directory.
      name: Of the dataset.
      source: `trainer.data.sources.source.Source`.

    Returns:
      Labels, int32 (N,), and digests of the images before conversion, int64 (N,), of each split, by
      id.
    """
    import tensorflow_datasets as tfds

    identity = tfds.core.DatasetIdentity(
        name=name, version=tfds.core.Version(VERSION), data_dir=str(directory), module_name=__name__
    )
    info = tfds.core.DatasetInfo(
        builder=identity, features=record_features(source), disable_shuffling=True
    )
    writer = tfds.core.SequentialWriter(info, EXAMPLES_PER_SHARD, file_format="array_record")
    writer.initialize_splits(list(source.splits))
    written = {split: (array("i"), array("q")) for split in source.splits}
    progress = tqdm(desc=f"prepare {name}", total=source.size, unit=" images")
    for split, pairs in source.splits.items():
        (labels, digests), pairs = written[split], iter(pairs)
        while rows := list(itertools.islice(pairs, EXAMPLES_PER_WRITE)):
            examples = [
                {"id": id, "image": image, "label": label}
                for id, (image, label) in enumerate(rows, start=len(labels))
            ]
            writer.add_examples({split: examples})
            labels.extend(label for _, label in rows)
            digests.extend(digest(image) for image, _ in rows)
            progress.update(len(rows))
    progress.close()
    writer.close_all()
    return {
        split: (np.array(labels), np.array(getattr(source.splits[split], "digests", digests)))
        for split, (labels, digests) in written.items()
    }
