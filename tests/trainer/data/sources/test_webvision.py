"""Small sets in the form of those published with the IEG release and with ImageNet."""

import io
import json
import subprocess
import sys
import tarfile

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from trainer.config import DataConfig
from trainer.data import probe, records
from trainer.data.sources import webvision
from trainer.errors import InputError


def jpeg(rng, height=60, width=80):
    file = io.BytesIO()
    pixels = rng.integers(256, size=(height, width, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def write_tfds(root, name, class_names, splits):
    """Writes a set as TFDS keeps it; `splits` has the labels of each. Returns its directory."""
    rng, directory = np.random.default_rng(0), root / "tensorflow_datasets" / name / "2.0.0"
    directory.mkdir(parents=True)
    info = tfds.core.DatasetInfo(
        builder=tfds.core.DatasetIdentity(
            name=name,
            version=tfds.core.Version("2.0.0"),
            data_dir=str(directory),
            module_name=__name__,
        ),
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(),
                "label": tfds.features.ClassLabel(names=class_names),
            }
        ),
    )
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=40)
    writer.initialize_splits(list(splits))
    for split, labels in splits.items():
        examples = [
            {"image": jpeg(rng, 60 + i % 9), "label": label} for i, label in enumerate(labels)
        ]
        writer.add_examples({split: examples})
    writer.close_all()
    return directory


def write_probe(root, count):
    """Writes trusted images of all 50 classes in turn."""
    rng = np.random.default_rng(0)
    (root / f"probe_{count}").mkdir()
    file = root / f"probe_{count}" / "imagenet2012-probe.tfrecord-1-of-1"
    with tf.io.TFRecordWriter(str(file)) as records_file:
        for i in range(count):
            image = tf.train.BytesList(value=[jpeg(rng, 50)])
            features = {
                "image/encoded": tf.train.Feature(bytes_list=image),
                "image/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[i % 50])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            records_file.write(example.SerializeToString())


@pytest.fixture(scope="module")
def dataset_dir(tmp_path_factory):
    """Two crawled and two trusted images of each class, one to test on."""
    root = tmp_path_factory.mktemp("ieg_data")
    labels = [i % 50 for i in range(100)]
    splits = {"train": labels, "val": labels[:50]}
    directory = write_tfds(root, "webvisionmini-google", webvision.class_names(), splits)
    names = webvision.imagenet_file("labels.txt")
    write_tfds(root, "imagenet2012", names, {"validation": [0, 49, 50, 999, 1]})
    write_probe(directory.parent, 100)
    return root


@pytest.fixture(scope="module")
def imagenet_val(tmp_path_factory):
    """An archive with the images of the first 50 classes, and of some others."""
    path = tmp_path_factory.mktemp("imagenet") / "ILSVRC2012_img_val.tar"
    rng, names = np.random.default_rng(1), set(webvision.class_names())
    labels = webvision.imagenet_file("validation_labels.txt")
    with tarfile.open(path, "w") as tar:
        for i, name in enumerate(labels, start=1):
            if name in names or i <= 20:
                content = jpeg(rng, 16, 16)
                member = tarfile.TarInfo(f"ILSVRC2012_val_{i:08d}.JPEG")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


def test_crawled_images_and_a_trusted_probe(dataset_dir, tmp_path):
    settings = DataConfig(data=str(dataset_dir))
    written = records.prepare("webvisionmini", tmp_path / "a", settings)
    assert written["num_examples"] == {"train": 200, "test": 50}
    assert written["class_names"][:2] == ("n01440764", "n01443537")
    clean = records.read_clean_labels(tmp_path / "a")
    np.testing.assert_array_equal(clean, [-1] * 100 + [i % 50 for i in range(100)])
    probe.split(tmp_path / "a", tmp_path / "probe", per_class=2, seed=0)
    ids, train_ids, _ = probe.read(tmp_path / "probe", written)
    assert (set(ids), set(train_ids)) == (set(range(100, 200)), set(range(100)))


def test_the_validation_images_of_fifty_classes(imagenet_val, tmp_path):
    settings = DataConfig(imagenet_val=str(imagenet_val))
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
    records.prepare("imagenet2012_val", tmp_path / "a", DataConfig(data=str(dataset_dir)))
    labels = records.read_labels(tmp_path / "a", "test")
    assert sorted(labels) == [0, 1, 49]


def test_what_is_not_there(dataset_dir, imagenet_val, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputError, match="--data: must hold the records of webvisionmini-google"):
        records.prepare("webvisionmini", out, DataConfig(data=str(tmp_path)))
    with pytest.raises(InputError, match=r"--imagenet_val: must be ILSVRC2012_img_val\.tar"):
        records.prepare("imagenet2012_val", out, DataConfig(imagenet_val=str(tmp_path / "no.tar")))
    with tarfile.open(tmp_path / "few.tar", "w") as tar:
        tar.add(imagenet_val, "ILSVRC2012_val_00000001.JPEG")
    with pytest.raises(InputError, match=r"--imagenet_val: must have 2500 images of 50 classes"):
        records.prepare("imagenet2012_val", out, DataConfig(imagenet_val=str(tmp_path / "few.tar")))
    assert not out.exists()


def trainer(cwd, **flags):
    command = [sys.executable, "-m", "trainer", *(f"--{k}={v}" for k, v in flags.items())]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


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
