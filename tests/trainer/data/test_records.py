import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from trainer.data import records
from trainer.errors import InputError


def test_another_program_opens_it_with_tfds(digits):
    code = """
import sys
import tensorflow_datasets as tfds
builder = tfds.builder_from_directory(sys.argv[1])
assert builder.info.features["label"].names == [str(digit) for digit in range(10)]
examples = builder.as_data_source(split="train")
assert [example["id"] for example in examples] == list(range(1437))
assert examples[0]["image"].shape == (8, 8, 1), examples[0]["image"].shape
assert len(builder.as_data_source(split="test")) == 360
"""
    subprocess.run([sys.executable, "-c", code, digits], check=True, cwd="/")


def test_every_digit_is_there_once_with_its_label(digits):
    images, labels = load_digits(return_X_y=True)
    expected = sorted((tuple(np.rint(x * 255 / 16).astype(int)), y) for x, y in zip(images, labels))
    pairs = []
    for split in ("train", "test"):
        pixels = records.read_images(digits, split).reshape(-1, 64)
        pairs += zip(map(tuple, pixels), records.read_labels(digits, split))
    assert sorted(pairs) == expected


def test_the_test_split_is_a_stratified_fifth(digits):
    train, test = (np.bincount(records.read_labels(digits, s)) for s in ("train", "test"))
    np.testing.assert_allclose(test / (train + test), 0.2, atol=0.01)


def test_preparing_again_gives_the_same_dataset(digits, tmp_path):
    assert records.prepare("digits", tmp_path / "a")["id"] == records.read_manifest(digits)["id"]


def test_an_unknown_dataset(tmp_path):
    with pytest.raises(
        InputError, match=r"--dataset: must be one of digits, cifar10, .*\. Received: 'cats'"
    ):
        records.prepare("cats", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_encoded_images_in_any_order(digits):
    images = records.read_images(digits, "train")
    encoded = records.EncodedImages(digits, "train", np.array([5, 900, 3]))
    assert len(encoded) == 3
    for file, image in zip(encoded[np.array([2, 0])], images[[3, 5]], strict=True):
        np.testing.assert_array_equal(Image.open(io.BytesIO(file)), image[..., 0])


def test_the_truth_of_digits_is_their_labels(digits):
    labels = records.read_labels(digits, "train")
    np.testing.assert_array_equal(records.read_clean_labels(digits), labels)
    np.testing.assert_array_equal(records.read_trusted_ids(digits), np.arange(1437))
