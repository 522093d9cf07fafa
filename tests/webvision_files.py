"""Small sets in the form of those published with the IEG release and with ImageNet."""

import io
import tarfile

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from trainer.data.sources import webvision


def jpeg(rng, height=60, width=80):
    file = io.BytesIO()
    pixels = rng.integers(256, size=(height, width, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def write_tfds(root, name, class_names, splits, make=jpeg):
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
            {"image": make(rng, 60 + i % 9), "label": label} for i, label in enumerate(labels)
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


def write_release(root):
    """Writes two crawled and two trusted images of each class, one to test on."""
    labels = [i % 50 for i in range(100)]
    splits = {"train": labels, "val": labels[:50]}
    directory = write_tfds(root, "webvisionmini-google", webvision.class_names(), splits)
    names = webvision.imagenet_file("labels.txt")
    write_tfds(root, "imagenet2012", names, {"validation": [0, 49, 50, 999, 1]})
    write_probe(directory.parent, 100)
    return root


def write_imagenet_val(path):
    """Writes an archive with the images of the first 50 classes, and of some others."""
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
