"""A few images in the layouts of the published archives."""

import pickle

import numpy as np
import pytest

from trainer.data import records
from trainer.errors import InputError
from trainer.settings.data import DataSettings

NAMES = [f"class{i}" for i in range(10)]


def batches(seed, count=4):
    rng = np.random.default_rng(seed)
    return rng.integers(256, size=(count, 3072)).astype(np.uint8), rng.integers(10, size=count)


def write_binary(root):
    (root / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        pixels, labels = batches(i)
        rows = np.concatenate([labels[:, np.newaxis].astype(np.uint8), pixels], axis=1)
        rows.tofile(root / f"{name}.bin")


def write_python(root):
    def dump(name, content):
        with open(root / name, "wb") as stream:
            pickle.dump(content, stream, protocol=2)

    dump("batches.meta", {b"label_names": [name.encode() for name in NAMES]})
    for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        pixels, labels = batches(i)
        dump(name, {b"data": pixels, b"labels": labels.tolist()})


@pytest.mark.parametrize("write", [write_binary, write_python])
def test_images_and_labels_in_their_order(tmp_path, write):
    write(tmp_path)
    written = records.prepare("cifar10", tmp_path / "a", DataSettings(data=tmp_path))
    assert written["num_examples"] == {"train": 20, "test": 4}
    assert written["class_names"] == tuple(NAMES)
    pixels, labels = (np.concatenate(part) for part in zip(*map(batches, range(5))))
    np.testing.assert_array_equal(records.read_labels(tmp_path / "a", "train"), labels)
    images = records.read_images(tmp_path / "a", "train")
    np.testing.assert_array_equal(images[:, 3, 7, 1], pixels[:, 1024 + 3 * 32 + 7])
    np.testing.assert_array_equal(records.read_published_order(tmp_path / "a"), np.arange(20))


def test_cifar100_has_fine_labels(tmp_path):
    (tmp_path / "fine_label_names.txt").write_text("\n".join(NAMES))
    for name in ("train", "test"):
        pixels, labels = batches(0)
        two = np.stack([np.zeros_like(labels), labels], axis=1).astype(np.uint8)
        np.concatenate([two, pixels], axis=1).tofile(tmp_path / f"{name}.bin")
    records.prepare("cifar100", tmp_path / "a", DataSettings(data=tmp_path))
    np.testing.assert_array_equal(records.read_labels(tmp_path / "a", "train"), batches(0)[1])


def test_files_that_are_missing_or_cut_off(tmp_path):
    with pytest.raises(InputError, match="--data: must hold the extracted files of cifar10"):
        records.prepare("cifar10", tmp_path / "a", DataSettings(data=tmp_path / "none"))
    write_binary(tmp_path)
    file = tmp_path / "data_batch_3.bin"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(InputError, match="--data: must hold the extracted files of cifar10"):
        records.prepare("cifar10", tmp_path / "a", DataSettings(data=tmp_path))
    assert not (tmp_path / "a").exists()
