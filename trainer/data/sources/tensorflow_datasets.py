"""Sets of TensorFlow Datasets: images as encoded there, made upright as their EXIF says."""

import logging

import numpy as np

from trainer.data.sources.source import Source, SourceKind
from trainer.data.sources.turned import upright
from trainer.errors import InputError

TFDS_SETTINGS = ("tfds_data_dir", "beam_runner", "beam_options")
RETRIES = (
    4  # tries of a download, in a few seconds; the ten tries of TensorFlow Datasets take minutes
)


def from_tfds(name, settings):
    """A classification set of TensorFlow Datasets, as prepared there or downloaded.

    Args:
      name: Such as cifar10, or cifar10:3.0.2 for a version.
      settings: `trainer.settings.data.DataSettings`; `tfds_data_dir` is where prepared sets are.

    Raises:
      InputError: It is not prepared and cannot be downloaded, or is not for classification.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download import downloader

    data_dir = settings.tfds_data_dir or None
    downloader.MAX_RETRIES = RETRIES
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it warns of each retry
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        builder.download_and_prepare(download_config=download_config(settings))
    except Exception as error:
        rule = f"must hold {name}, prepared, or it must be possible to download it"
        reason = f"{data_dir or 'the default'} ({type(error).__name__})"
        raise InputError("--tfds_data_dir", rule, reason) from error
    features, splits = builder.info.features, builder.info.splits
    test = "test" if "test" in splits else "validation"
    if not {"image", "label"} <= set(features) or not {"train", test} <= set(splits):
        rule = "must have image and label, and the splits train and test or validation"
        raise InputError("--dataset", rule, f"{name}: {', '.join([*features, *splits])}")
    converted = []
    pairs = {
        split: upright(encoded_pairs(builder, split), f"{name}, {split}", converted)
        for split in ("train", test)
    }
    return Source(
        class_names=tuple(features["label"].names),
        image_shape=tuple(features["image"].shape),
        splits={"train": pairs["train"], "test": pairs[test]},
        size=splits["train"].num_examples + splits[test].num_examples,
        labels_are_clean=True,
        published_order=published_order(builder),
        converted=converted,
    )


KIND = SourceKind(from_tfds, settings=TFDS_SETTINGS)


def download_config(settings):
    """How TensorFlow Datasets prepares a set; None for its default."""
    if not settings.beam_runner:
        return None
    from trainer.data import beam

    return beam.download_config(settings)


def encoded_pairs(builder, split):
    """(encoded image, label) of each example, always in the same order."""
    import tensorflow_datasets as tfds

    examples = in_order(builder, split, decoders={"image": tfds.decode.SkipDecoding()})
    for example in examples.as_numpy_iterator():
        yield example["image"], int(example["label"])


def published_order(builder):
    """The place of each training example in the published set, from ids such as train_00005."""
    import tensorflow_datasets as tfds

    if "id" not in builder.info.features:
        return None
    examples = in_order(builder, "train", decoders=tfds.decode.PartialDecoding({"id": True}))
    names = [example["id"].decode() for example in examples.as_numpy_iterator()]
    return np.array([int(name.rpartition("_")[2]) for name in names])


def in_order(builder, split, decoders):
    import tensorflow_datasets as tfds

    read_config = tfds.ReadConfig(interleave_cycle_length=1)
    return builder.as_dataset(split=split, decoders=decoders, read_config=read_config)
