"""Sets in the form of the IEG release and of ImageNet; small ones that are written here."""

import json
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from tests.webvision_files import write_imagenet_val, write_release
from trainer import storage
from trainer.data import probe, records
from trainer.data.sources import webvision
from trainer.errors import InputError
from trainer.settings.data import WEBVISION_RELEASE, DataSettings


@pytest.fixture(scope="module")
def dataset_dir(tmp_path_factory):
    return write_release(tmp_path_factory.mktemp("ieg_data"))


@pytest.fixture(scope="module")
def imagenet_val(tmp_path_factory):
    return write_imagenet_val(tmp_path_factory.mktemp("imagenet") / "ILSVRC2012_img_val.tar")


def test_crawled_images_and_a_trusted_probe(dataset_dir, tmp_path):
    settings = DataSettings(data=str(dataset_dir))
    written = records.prepare("webvisionmini", tmp_path / "a", settings)
    assert written["num_examples"] == {"train": 200, "test": 50}
    assert written["class_names"][:2] == ("n01440764", "n01443537")
    clean = records.read_clean_labels(tmp_path / "a")
    np.testing.assert_array_equal(clean, [-1] * 100 + [i % 50 for i in range(100)])
    probe.split(tmp_path / "a", tmp_path / "probe", per_class=2, seed=0)
    ids, train_ids, _ = probe.read_split(tmp_path / "probe", written)
    assert (set(ids), set(train_ids)) == (set(range(100, 200)), set(range(100)))


def test_the_validation_images_of_fifty_classes(imagenet_val, tmp_path):
    settings = DataSettings(imagenet_val=str(imagenet_val))
    written = records.prepare("imagenet2012_val", tmp_path / "a", settings)
    assert written["num_examples"] == {"test": 2500}
    counts = np.bincount(records.read_labels(tmp_path / "a", "test"))
    np.testing.assert_array_equal(counts, np.full(50, 50))
    first = webvision.imagenet_file("validation_labels.txt").index("n01440764") + 1
    with tarfile.open(imagenet_val) as tar:
        expected = tar.extractfile(f"ILSVRC2012_val_{first:08d}.JPEG").read()
    position = np.flatnonzero(records.read_labels(tmp_path / "a", "test") == 0)[:1]
    assert records.EncodedImages(tmp_path / "a", "test")[position][0] == expected


def test_the_validation_images_that_tfds_has_prepared(dataset_dir, tmp_path):
    records.prepare("imagenet2012_val", tmp_path / "a", DataSettings(data=str(dataset_dir)))
    labels = records.read_labels(tmp_path / "a", "test")
    assert sorted(labels) == [0, 1, 49]


def test_what_is_not_there(dataset_dir, imagenet_val, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputError, match="--data: must hold the records of webvisionmini-google"):
        records.prepare("webvisionmini", out, DataSettings(data=str(tmp_path)))
    with pytest.raises(InputError, match=r"--imagenet_val: must be ILSVRC2012_img_val\.tar"):
        records.prepare(
            "imagenet2012_val", out, DataSettings(imagenet_val=str(tmp_path / "no.tar"))
        )
    with tarfile.open(tmp_path / "few.tar", "w") as tar:
        tar.add(imagenet_val, "ILSVRC2012_val_00000001.JPEG")
    with pytest.raises(InputError, match=r"--imagenet_val: must have 2500 images of 50 classes"):
        records.prepare(
            "imagenet2012_val", out, DataSettings(imagenet_val=str(tmp_path / "few.tar"))
        )
    assert not out.exists()


def trainer(cwd, **flags):
    command = [sys.executable, "-m", "trainer", *(f"--{k}={v}" for k, v in flags.items())]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


@pytest.mark.slow
def test_the_command_of_the_release_tests_on_imagenet_too(dataset_dir, imagenet_val, tmp_path):
    """With a small network and small crops, since 2,500 images are tested."""
    flags = {
        "experiment": "ieg_webvision",
        "dataset_dir": dataset_dir,
        "imagenet_val": imagenet_val,
        "dataset": "webvisionmini_2",
        "network_name": "convnet",
        "image_size": 32,
        "max_iteration": 2,
        "checkpoint_path": tmp_path,
    }
    done = trainer(tmp_path, **flags)
    assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout[: done.stdout.rindex("}") + 1])
    assert {"test/top1", "test/top5", "imagenet/top1", "imagenet/top5"} <= set(metrics)
    assert (metrics["wrong_labels"], metrics["probe_per_class"]) == (None, 2)


@pytest.mark.slow
def test_resnet50_at_224_pixels(dataset_dir, tmp_path):
    flags = {
        "experiment": "ieg_webvision",
        "data": dataset_dir,
        "probe_per_class": 2,
        "batch_size": 2,
        "max_iteration": 1,
        "checkpoint_path": tmp_path,
    }
    done = trainer(tmp_path, **flags)
    assert done.returncode == 0, done.stderr
    run = json.loads((tmp_path / "checkpoints" / "manifest.json").read_text())
    assert run["image_shape"] == [224, 224, 3]
    assert "imagenet/top5" in done.stdout
    assert (run["config"]["network_name"], run["config"]["ce_factor"]) == ("resnet50", 4)


@pytest.mark.usefixtures("bucket")
def test_the_release_under_its_first_name():
    with pytest.raises(InputError, match="webvisionmini"):
        webvision.fetched(WEBVISION_RELEASE)
    bucket = storage.client().create_bucket("gresearch")
    bucket.blob("ieg/webvisionmini.zip").upload_from_string(b"first")
    with open(webvision.fetched(WEBVISION_RELEASE), "rb") as file:
        assert file.read() == b"first"
    bucket.blob("ieg/webvisionmini2.zip").upload_from_string(b"second")
    with open(webvision.fetched(WEBVISION_RELEASE), "rb") as file:
        assert file.read() == b"second"
