"""The prepared dataset: a TensorFlow Datasets directory with ids of our own.

    <prepared_dataset>/
      dataset_info.json, features.json, *.array_record-*   `tfds.builder_from_directory` opens them:
                         id int64 (0..N-1 within a split), image (encoded bytes), label
      train_labels.npy, test_labels.npy   int32 (N,), by id; read without touching an image
      train_clean_labels.npy   true labels where they are known and differ, -1 where not known
      trusted_ids.npy    int64, the examples that the probe is drawn from, unless from all
      published_order.npy   int64 (N,), place of each example in the published set, for label files
      train_files.csv, test_files.csv   path of each example, by id, where it was a file
      left_out.csv       path and reason of files that are not in it, if there are any
      converted.csv      path and original format of images that were converted, if any
      duplicates.csv     image (a number), path, label and part of files of the same content
      annotators.csv     path, label and annotator, the label of each of several annotators
      manifest.json      source, class_names, image_shape, num_examples, labels_are_clean,
                         test_labels_are_clean, and the counts of `trainer.data.summary.count_data`

Functions on images import TensorFlow; labels need NumPy only.
"""

import csv
import hashlib
import io
from pathlib import Path

import numpy as np

from trainer import artifacts, storage
from trainer.data import record_writer, sources, summary
from trainer.errors import InputError
from trainer.settings.data import DataSettings

EXAMPLES_PER_READ = 1_000
CLEAN_LABELS, TRUSTED_IDS = "train_clean_labels.npy", "trusted_ids.npy"
PUBLISHED_ORDER = "published_order.npy"
FILES, VOTES = "{}_files.csv", "annotators.csv"


def prepare(source_name, output_path, settings=None):
    """Writes the dataset of a source.

    Args:
      source_name: One of `trainer.data.sources.OFFERED`, or tfds:<name>.
      output_path: Directory to write.
      settings: `trainer.settings.data.DataSettings`, for sources that read files.

    Returns:
      The manifest.
    """
    settings = settings or DataSettings()
    source = sources.load(source_name, settings)
    with artifacts.writing(output_path) as directory:
        return write_dataset(directory, source_name, source, settings)


def write_dataset(directory, source_name, source, settings):
    """Writes a prepared dataset. Returns the manifest."""
    if settings.beam_runner and source.paths:
        from trainer.data import beam

        written = beam.write(directory, source_name, source, settings)
    else:
        written = record_writer.write_records(directory, source_name, source)
    # Not a hash of the record files: the order of their fields differs from time to time.
    content = hashlib.sha256(repr(source.class_names).encode())
    for split, (labels, digests) in written.items():
        np.save(directory / f"{split}_labels.npy", labels)
        content.update(f"{split} {len(labels)}".encode() + labels.tobytes() + digests.tobytes())
    if source.clean_labels is not None:
        np.save(directory / CLEAN_LABELS, source.clean_labels)
        content.update(source.clean_labels)
    if source.trusted_ids is not None:
        np.save(directory / TRUSTED_IDS, source.trusted_ids)
        content.update(source.trusted_ids)
    if source.published_order is not None:
        np.save(directory / PUBLISHED_ORDER, source.published_order)
    for split, paths in source.paths.items():
        with open(directory / FILES.format(split), "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("path",), *((storage.origin(path),) for path in paths)])
    if source.votes is not None:
        votes = source.votes.assign(path=source.votes.path.map(storage.origin))
        votes.to_csv(directory / VOTES, index=False)
    write_rows(directory / "left_out.csv", ("path", "reason"), source.left_out)
    write_rows(directory / "converted.csv", ("path", "from"), source.converted)
    found = summary.count_data(source, {split: labels for split, (labels, _) in written.items()})
    found |= source.facts | write_duplicates(directory, source.duplicates)
    if source.paths or source.converted:
        place = directory.with_name(directory.name.removesuffix(".partial"))  # where it will be
        print("\n".join(f"note: {line}" for line in summary.lines(found, place)))
    return artifacts.finish(
        directory,
        artifacts.PREPARED_DATASET,
        id=content.hexdigest(),
        source=source_name,
        class_names=source.class_names,
        image_shape=source.image_shape,
        num_examples={split: len(labels) for split, (labels, _) in written.items()},
        labels_are_clean=source.labels_are_clean,
        test_labels_are_clean=source.test_labels_are_clean,
        **found,
    )


def write_rows(path, header, rows):
    """Writes a table of files, if there are any."""
    if rows:
        with open(path, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            csv.writer(file).writerows([header, *rows])


def write_duplicates(directory, found):
    """Lists files of the same content. Returns the number of such images, for the manifest."""
    if found is None or found.empty:
        return {}
    found.to_csv(directory / "duplicates.csv", index=False)
    several = found.groupby("image")[["label", "part"]].nunique() > 1
    return {
        "repeated_images": len(several),
        "images_under_two_labels": int(several.label.sum()),
        "images_in_two_parts": int(several.part.sum()),
    }


def read_manifest(path):
    """The manifest of a prepared dataset; InputError if there is none."""
    return artifacts.read(path, artifacts.PREPARED_DATASET)


def read_labels(path, split):
    """Published labels of a split, int32 (N,), by id."""
    return np.load(Path(path) / f"{split}_labels.npy")


def read_clean_labels(path):
    """True labels of the train split, int32 (N,), by id; -1 where not known."""
    if (Path(path) / CLEAN_LABELS).is_file():
        return np.load(Path(path) / CLEAN_LABELS)
    labels = read_labels(path, "train")
    return labels if read_manifest(path)["labels_are_clean"] else np.full_like(labels, -1)


def read_published_order(path):
    """The place of each training example in the published set, int64 (N,).

    Raises:
      InputError: The order is not known for this dataset.
    """
    if not (Path(path) / PUBLISHED_ORDER).is_file():
        raise InputError("--noise", "human is for cifar10 and cifar100", "human")
    return np.load(Path(path) / PUBLISHED_ORDER)


def trusted_are_named(path):
    """Whether the data name trusted examples; else every example with a known true label is one."""
    return (Path(path) / TRUSTED_IDS).is_file()


def read_trusted_ids(path):
    """Ids of the training examples that the probe may be drawn from, int64, ascending."""
    if trusted_are_named(path):
        return np.load(Path(path) / TRUSTED_IDS)
    return np.flatnonzero(read_clean_labels(path) >= 0)


def read_paths(path, split):
    """Path that each example of a split was read from, by id; None if they were no files."""
    file = Path(path) / FILES.format(split)
    if not file.is_file():
        return None
    with open(file, newline="", encoding="utf-8") as rows:
        return [row["path"] for row in csv.DictReader(rows)]


def read_votes(path):
    """Table of path, label and annotator, strings; None without several annotators."""
    import pandas as pd

    file = Path(path) / VOTES
    return pd.read_csv(file, dtype="str", keep_default_na=False) if file.is_file() else None


class EncodedImages:
    """The encoded images of a split, read from its files in any order.

    Args:
      path: Directory of a prepared dataset.
      split: Name of the split.
      ids: Which of its examples, and in what order; all of them unless given.
    """

    def __init__(self, path, split, ids=None):
        import tensorflow_datasets as tfds

        builder = tfds.builder_from_directory(path)
        skip = {"image": tfds.decode.SkipDecoding()}
        self.examples = builder.as_data_source(split, decoders=skip)
        self.ids = np.arange(len(self.examples)) if ids is None else ids

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, positions):
        """The images at an integer array of positions in `ids`: bytes, in an array of objects."""
        ids = self.ids[positions].tolist()
        rows = self.examples.__getitems__(ids) if ids else []  # the library refuses to read none
        return np.array([row["image"] for row in rows], object)

    def serialised(self, positions):
        """The examples at these positions, as the files hold them, for `tf.io.parse_example`."""
        ids = self.ids[positions].tolist()
        return np.array(self.examples.data_source.__getitems__(ids) if ids else [], object)


def read_encoded(path, ids):
    """Encoded images, bytes in an array of objects; ids of test continue those of train."""
    ids, count = np.asarray(ids), read_manifest(path)["num_examples"]["train"]
    found = np.empty(len(ids), object)
    for split, rows, first in (("train", ids < count, 0), ("test", ids >= count, count)):
        if rows.any():
            encoded = EncodedImages(path, split, ids[rows] - first)
            found[rows] = encoded[np.arange(len(encoded))]
    return found


def read_features(path, split, side):
    """Each image at side x side pixels, float32 (N, side * side * channels) in [0, 1], by id."""
    from PIL import Image

    channels, encoded = read_manifest(path)["image_shape"][-1], EncodedImages(path, split)
    features = np.empty((len(encoded), side * side * channels), np.float32)
    for first in range(0, len(encoded), EXAMPLES_PER_READ):
        rows = encoded.ids[first : first + EXAMPLES_PER_READ]
        for row, file in zip(rows, encoded[rows], strict=True):
            image = Image.open(io.BytesIO(file)).convert("L" if channels == 1 else "RGB")
            features[row] = np.asarray(image.resize((side, side)), np.float32).reshape(-1) / 255
    return features


def read_images(path, split):
    """Decoded images of a split, uint8 (N, H, W, channels), by id; they must be of one size."""
    return decode_images(EncodedImages(path, split), read_manifest(path)["image_shape"])


def decode_images(encoded, shape):
    """Decodes `EncodedImages` of one shape: uint8 (N, H, W, channels)."""
    import tensorflow as tf

    images = tf.data.Dataset.from_tensor_slices(encoded[np.arange(len(encoded))]).map(
        lambda image: tf.ensure_shape(tf.io.decode_image(image, shape[-1]), shape),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return next(images.batch(len(encoded)).as_numpy_iterator())
