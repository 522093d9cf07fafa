"""Files in the forms that torch and NumPy write; the pickles are made here."""

import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from trainer.data import records
from trainer.data.noise import human_labels, injection
from trainer.errors import InputError
from trainer.settings.data import DataSettings

ARRAYS = {"clean_label": np.arange(6) % 3, "worse_label": np.array([0, 1, 1, 0, 1, 2])}


def write_zip(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("CIFAR-10_human/data.pkl", pickle.dumps(content, protocol=2))
        archive.writestr("CIFAR-10_human/version", "3\n")


def write_old(path, content):
    parts = 0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, content, []
    path.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts))


def write_numpy(path, content):
    with open(path, "wb") as stream:
        np.save(stream, np.array(content, object))


@pytest.mark.parametrize("write", [write_zip, write_old, write_numpy])
def test_every_form(tmp_path, write):
    write(tmp_path / "labels", ARRAYS)
    given, clean = human_labels.read_labels(tmp_path / "labels", "worse_label")
    np.testing.assert_array_equal(given, ARRAYS["worse_label"])
    np.testing.assert_array_equal(clean, ARRAYS["clean_label"])


@pytest.mark.parametrize("write", [write_zip, write_old, write_numpy])
def test_lists_of_numbers_of_numpy(tmp_path, write):
    """As CIFAR-100N has them."""
    write(tmp_path / "labels", {name: list(values) for name, values in ARRAYS.items()})
    given, clean = human_labels.read_labels(tmp_path / "labels", "worse_label")
    np.testing.assert_array_equal(given, ARRAYS["worse_label"])
    np.testing.assert_array_equal(clean, ARRAYS["clean_label"])


class Trap:
    def __reduce__(self):
        return print, ("it ran",)


@pytest.mark.parametrize("write", [write_zip, write_old, write_numpy])
def test_nothing_in_a_file_runs(tmp_path, write, capsys):
    write(tmp_path / "labels", {"worse_label": Trap()})
    with pytest.raises(InputError, match=r"--noise_file: .*builtin.*print is not allowed in it"):
        human_labels.read_labels(tmp_path / "labels", "worse_label")
    assert capsys.readouterr().out == ""


def test_wrong_files(tmp_path):
    (tmp_path / "text").write_text("no pickle")
    for name in ("text", "none"):
        with pytest.raises(InputError, match="--noise_file: must be a label file of CIFAR-10N"):
            human_labels.read_labels(tmp_path / name, "worse_label")
    write_zip(tmp_path / "labels", ARRAYS)
    with pytest.raises(InputError, match="--label_column: must be one of clean_label, worse_label"):
        human_labels.read_labels(tmp_path / "labels", "label")


def test_human_noise_on_a_set_of_tfds(tfds_data_dir, tmp_path):
    """Labels follow the order of publication, which need not be the order of our ids."""
    records.prepare("cifar10", tmp_path / "a", DataSettings(tfds_data_dir=tfds_data_dir))
    order = np.random.default_rng(0).permutation(100)
    np.save(tmp_path / "a" / records.PUBLISHED_ORDER, order)
    clean = records.read_labels(tmp_path / "a", "train")
    published = np.empty(100, int)
    published[order] = clean
    human = {"clean_label": published, "worse_label": (published + 1) % 10}
    write_zip(tmp_path / "human.pt", human)
    inject = tmp_path / "a", tmp_path / "noise", "human"
    injection.inject(*inject, 1, 0, tmp_path / "human.pt", "worse_label")
    given = np.load(tmp_path / "noise" / "labels.npy")
    np.testing.assert_array_equal(given, (clean + 1) % 10)
    write_zip(tmp_path / "human.pt", human | {"clean_label": (published + 2) % 10})
    with pytest.raises(InputError, match="--noise_file: must have the labels of the 100 examples"):
        injection.inject(*inject, 1, 0, tmp_path / "human.pt", "worse_label")


def test_the_order_of_publication(tfds_data_dir, tmp_path, digits):
    records.prepare("cifar10", tmp_path / "a", DataSettings(tfds_data_dir=tfds_data_dir))
    np.testing.assert_array_equal(records.read_published_order(tmp_path / "a"), np.arange(100))
    with pytest.raises(InputError, match="--noise: human is for cifar10 and cifar100"):
        records.read_published_order(digits)


@pytest.mark.slow
def test_human_noise_through_the_command(tfds_data_dir, tmp_path):
    records.prepare("cifar10", tmp_path / "a", DataSettings(tfds_data_dir=tfds_data_dir))
    clean = records.read_labels(tmp_path / "a", "train")
    write_zip(tmp_path / "human.pt", {"clean_label": clean, "worse_label": (clean + 1) % 10})
    flags = {
        "dataset": "cifar10_human_1",
        "noise_file": tmp_path / "human.pt",
        "label_column": "worse_label",
        "tfds_data_dir": tfds_data_dir,
        "method": "supervised",
        "network_name": "convnet",
        "probe_per_class": 0,
        "batch_size": 10,
        "max_iteration": 1,
        "checkpoint_path": tmp_path / "out",
    }
    command = [sys.executable, "-m", "trainer", *(f"--{k}={v}" for k, v in flags.items())]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    given = np.load(tmp_path / "out" / "noisy_labels" / "labels.npy")
    np.testing.assert_array_equal(given, (clean + 1) % 10)
