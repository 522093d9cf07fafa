"""A table of photographs with true and with human labels."""

import csv

import numpy as np
import pytest
from PIL import Image

CLASSES = {"dark": 60, "bright": 150}  # mean of the pixels
OF_EACH = 24


def write_images(root, count, seed):
    """`count` images in the folder of each class; yields path and class."""
    rng = np.random.default_rng(seed)
    for name, mean in CLASSES.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            file = root / name / f"{i}.png"
            pixels = np.clip(rng.normal(mean, 40, (16, 16, 3)) + rng.normal(0, 8), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(file)
            yield file, name


@pytest.fixture(scope="package")
def photographs(tmp_path_factory):
    """train.csv, in which every fourth label of the column `human` is wrong, and test/."""
    root = tmp_path_factory.mktemp("photographs")
    with open(root / "train.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "human"])
        for i, (path, name) in enumerate(write_images(root / "train", OF_EACH, 0)):
            other = next(c for c in CLASSES if c != name)
            table.writerow([path.relative_to(root), name, name if i % 4 else other])
    list(write_images(root / "test", 10, 1))
    return root
