import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tests.conftest import CIFAR10_CLASSES
from trainer.data import records, sources
from trainer.errors import InputError
from trainer.settings.data import DataSettings


def test_images_pass_through_as_they_are(tfds_data_dir):
    source = sources.load("cifar10", DataSettings(tfds_data_dir=tfds_data_dir))
    assert source.class_names == tuple(CIFAR10_CLASSES)
    assert source.image_shape == (32, 32, 3)
    pairs = list(source.splits["train"])
    assert [label for _, label in pairs] == [i % 10 for i in range(100)]
    pixels = np.random.default_rng(0).integers(256, size=(32, 32, 3)).astype(np.uint8)
    np.testing.assert_array_equal(tf.io.decode_png(pairs[0][0]), pixels)


def test_a_tfds_set_becomes_a_prepared_dataset(tfds_data_dir, tmp_path):
    written = records.prepare("cifar10", tmp_path / "a", DataSettings(tfds_data_dir=tfds_data_dir))
    assert written["num_examples"] == {"train": 100, "test": 20}
    assert written["image_shape"] == (32, 32, 3)
    rng = np.random.default_rng(0)
    for split, count in (("train", 100), ("test", 20)):
        expected = [rng.integers(256, size=(32, 32, 3)).astype(np.uint8) for _ in range(count)]
        np.testing.assert_array_equal(records.read_images(tmp_path / "a", split), expected)


def test_a_set_that_is_not_there_and_cannot_be_downloaded(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise ConnectionError("unreachable")

    monkeypatch.setattr(tfds.download.DownloadManager, "__init__", no_network)
    with pytest.raises(InputError, match=r"--tfds_data_dir: must hold cifar100, prepared, or"):
        records.prepare(
            "cifar100", tmp_path / "out", DataSettings(tfds_data_dir=tmp_path / "empty")
        )
    assert not (tmp_path / "out").exists()


def test_any_set_by_its_name(tfds_data_dir, tmp_path):
    settings = DataSettings(tfds_data_dir=tfds_data_dir)
    prepared = [
        records.prepare(name, tmp_path / name.replace(":", "_"), settings)["id"]
        for name in ("cifar10", "tfds:cifar10", "tfds:cifar10:3.0.2")
    ]
    assert len(set(prepared)) == 1
    with pytest.raises(InputError, match="--tfds_data_dir: must hold no_such_set, prepared, or"):
        records.prepare("tfds:no_such_set", tmp_path / "b", settings)
