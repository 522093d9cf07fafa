"""CIFAR from the files that its authors publish, extracted: the binary version or the Python one.

The Python version consists of pickles; no code in them is run.
"""

import pickle
from functools import partial
from pathlib import Path

import numpy as np

from trainer.data.noise.human_labels import Unpickler
from trainer.data.sources.digits import png
from trainer.data.sources.source import Source, SourceKind
from trainer.data.sources.tensorflow_datasets import TFDS_SETTINGS, from_tfds
from trainer.errors import InputError

PIXELS = 3 * 32 * 32

# Files of train and test (the binary ones end in .bin); the file of the class names in the binary
# version, in the Python one, and its key there; bytes before the pixels; the key of the labels.
LAYOUTS = {
    "cifar10": {
        "train": [f"data_batch_{i}" for i in range(1, 6)],
        "test": ["test_batch"],
        "names": ("batches.meta.txt", "batches.meta", b"label_names"),
        "label_bytes": 1,
        "label_key": b"labels",
    },
    "cifar100": {
        "train": ["train"],
        "test": ["test"],
        "names": ("fine_label_names.txt", "meta", b"fine_label_names"),
        "label_bytes": 2,  # coarse, fine
        "label_key": b"fine_labels",
    },
}


def cifar(name, settings):
    """CIFAR from its published files in `settings.data`, else from TensorFlow Datasets."""
    return from_batches(name, settings.data) if settings.data else from_tfds(name, settings)


CIFAR10, CIFAR100 = (
    SourceKind(partial(cifar, name), settings=("data", *TFDS_SETTINGS)) for name in LAYOUTS
)


def from_batches(name, directory):
    """The source cifar10 or cifar100 in a directory of its published files.

    Raises:
      InputError: A file is missing, or is not as published.
    """
    layout, directory = LAYOUTS[name], Path(directory)
    text, meta, key = layout["names"]
    try:
        if (directory / text).is_file():
            names = (directory / text).read_text().split()
            read = read_binary
        else:
            names = [label.decode() for label in unpickle(directory / meta)[key]]
            read = read_pickle
        parts = {
            split: [read(directory / file, layout) for file in layout[split]]
            for split in ("train", "test")
        }
    except (OSError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
        rule = f"must hold the extracted files of {name} as published ({error})"
        raise InputError("--data", rule, str(directory)) from error
    return Source(
        class_names=tuple(names),
        image_shape=(32, 32, 3),
        splits={split: pairs(batches) for split, batches in parts.items()},
        size=sum(len(labels) for batches in parts.values() for _, labels in batches),
        labels_are_clean=True,
        published_order=np.arange(sum(len(labels) for _, labels in parts["train"])),
    )


def read_binary(path, layout):
    """Pixels (n, 3072) and labels (n,) of a batch of the binary version."""
    rows = np.fromfile(path.with_name(path.name + ".bin"), np.uint8)
    rows = rows.reshape(-1, layout["label_bytes"] + PIXELS)
    return rows[:, layout["label_bytes"] :], rows[:, layout["label_bytes"] - 1].astype(int)


def read_pickle(path, layout):
    """Pixels (n, 3072) and labels (n,) of a batch of the Python version."""
    content = unpickle(path)
    return content[b"data"].reshape(-1, PIXELS), np.array(content[layout["label_key"]], int)


def unpickle(path):
    with open(path, "rb") as stream:
        return Unpickler(stream, encoding="bytes").load()


def pairs(batches):
    """(PNG file, label) of each example; the pixels are planes of red, green and blue."""
    for pixels, labels in batches:
        for planes, label in zip(pixels, labels.tolist(), strict=True):
            yield png(planes.reshape(3, 32, 32).transpose(1, 2, 0)), label
