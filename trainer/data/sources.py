"""Where images come from: each source gives encoded images with their published labels."""

import io
from dataclasses import dataclass

import numpy as np

from trainer.config import DATASETS, check_choice
from trainer.errors import InputError


@dataclass(frozen=True)
class Source:
    """A dataset to prepare.

    Attributes:
      class_names: C names; labels are positions in it.
      image_shape: (H, W, channels); None where a side differs between images.
      splits: By split name, (encoded image, label) pairs in the order of their ids.
    """

    class_names: tuple
    image_shape: tuple
    splits: dict


def digits():
    """The 1,797 handwritten digits (8x8, 17 grey levels) that scikit-learn carries.

    Test part of the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak, 1998).
    A stratified fifth is held out as test, always the same one.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    images = np.rint(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=0.2, stratify=labels, random_state=0
    )
    return Source(
        class_names=tuple("0123456789"),
        image_shape=(8, 8, 1),
        splits={
            "train": zip(map(png, train_images), train_labels.tolist(), strict=True),
            "test": zip(map(png, test_images), test_labels.tolist(), strict=True),
        },
    )


def png(image):
    """The bytes of a PNG file for an (H, W) uint8 image."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def from_tfds(name, data_dir=None):
    """A classification set of TensorFlow Datasets, as prepared there or downloaded.

    Args:
      name: Such as cifar10.
      data_dir: Directory of prepared datasets; that of TFDS unless given.

    Raises:
      InputError: It is neither prepared nor can it be downloaded.
    """
    import tensorflow_datasets as tfds

    builder = tfds.builder(name, data_dir=data_dir)
    try:
        builder.download_and_prepare()
    except Exception as error:
        rule = f"must hold {name}, prepared, or it must be possible to download it"
        reason = f"{data_dir or 'the default'} ({type(error).__name__})"
        raise InputError("--tfds_data_dir", rule, reason) from error
    features = builder.info.features
    in_order = tfds.ReadConfig(interleave_cycle_length=1)

    def pairs(split):
        examples = builder.as_dataset(
            split=split, decoders={"image": tfds.decode.SkipDecoding()}, read_config=in_order
        )
        for example in examples.as_numpy_iterator():
            yield example["image"], int(example["label"])

    return Source(
        class_names=tuple(features["label"].names),
        image_shape=tuple(features["image"].shape),
        splits={split: pairs(split) for split in ("train", "test")},
    )


def load(name, tfds_data_dir=None):
    """The source called `name`, one of `trainer.config.DATASETS`."""
    check_choice("dataset", name, DATASETS)
    return digits() if name == "digits" else from_tfds(name, tfds_data_dir)
