"""WebVision-mini: the 50 classes of WebVision that are the first ones of ImageNet.

The layout is that of the records published with the IEG release, in an archive or unpacked:

    <data>/tensorflow_datasets/
      webvisionmini-google/2.0.0/   a TensorFlow Datasets directory with splits train and val
      webvisionmini-google/probe_<n>/imagenet2012-probe.tfrecord-1-of-1   n images of ImageNet:
                                    image/encoded and image/label
      imagenet2012/5.1.0/           as TensorFlow Datasets prepares it; split validation
"""

import itertools
import tarfile
from importlib import resources
from pathlib import Path

import numpy as np

from trainer import storage
from trainer.data import archive
from trainer.data.sources.source import Source, SourceKind
from trainer.data.sources.tensorflow_datasets import encoded_pairs
from trainer.data.sources.turned import upright
from trainer.errors import InputError
from trainer.settings.data import WEBVISION_RELEASE

NUM_CLASSES = 50
FIRST_RELEASE = WEBVISION_RELEASE.replace("webvisionmini2", "webvisionmini")
VAL_NAME = "ILSVRC2012_val_{:08d}.JPEG"


def class_names():
    """The WordNet ids of the classes, in the order of their labels."""
    return tuple(imagenet_file("labels.txt")[:NUM_CLASSES])


def imagenet_file(name):
    """Lines of a file on ImageNet that comes with TensorFlow Datasets."""
    files = resources.files("tensorflow_datasets.datasets.imagenet2012")
    return (files / name).read_text().split()


def webvision_mini(settings):
    """Crawled images with their labels; the trusted ones of the largest probe come after them."""
    builder = prepared(settings, "webvisionmini-google")
    root = Path(builder.data_dir).parent
    names = builder.info.features["label"].names
    if len(names) != NUM_CLASSES:
        raise InputError("--data", f"must have {NUM_CLASSES} classes", len(names))
    trusted = read_probe(root)
    crawled = builder.info.splits["train"].num_examples
    clean = np.full(crawled + len(trusted), -1, np.int32)
    clean[crawled:] = [label for _, label in trusted]
    converted = []
    train = itertools.chain(encoded_pairs(builder, "train"), trusted)
    test = encoded_pairs(builder, "val")
    return Source(
        class_names=class_names(),
        image_shape=(None, None, 3),
        splits={
            "train": upright(train, "train", converted),
            "test": upright(test, "val", converted),
        },
        size=len(clean) + builder.info.splits["val"].num_examples,
        clean_labels=clean,
        trusted_ids=np.arange(crawled, len(clean)),
        converted=converted,
    )


KIND = SourceKind(
    webvision_mini, settings=("data", "imagenet_val"), needs_data=True, labels_are_noisy=True
)


def prepared(settings, name):
    """A TFDS builder for the newest version of a set under `settings.data`."""
    import tensorflow_datasets as tfds

    data = Path(fetched(settings.data))
    if data.suffix == ".zip":
        data = archive.unpacked(data)
    versions = sorted(file.parent for file in data.glob(f"**/{name}/*/dataset_info.json"))
    if not versions:
        rule = f"must hold the records of {name}, such as in tensorflow_datasets/{name}/2.0.0"
        raise InputError("--data", rule, settings.data)
    return tfds.builder_from_directory(versions[-1])


def fetched(data):
    """The local path of the data in the settings; the release also has an earlier name."""
    try:
        return storage.fetched(data, "--data")
    except InputError:
        if data != WEBVISION_RELEASE:
            raise
        return storage.fetched(FIRST_RELEASE, "--data")


def read_probe(root):
    """(encoded image, label) of each image of the largest probe."""
    import tensorflow as tf

    sizes = {int(path.name.removeprefix("probe_")): path for path in root.glob("probe_*")}
    if not sizes:
        raise InputError("--data", f"must hold the trusted images, {root}/probe_500", "none")
    features = {
        "image/encoded": tf.io.FixedLenFeature([], tf.string),
        "image/label": tf.io.FixedLenFeature([], tf.int64),
    }
    file = sizes[max(sizes)] / "imagenet2012-probe.tfrecord-1-of-1"
    records = tf.data.TFRecordDataset(str(file)).map(
        lambda record: tf.io.parse_single_example(record, features)
    )
    try:
        rows = list(records.as_numpy_iterator())
    except tf.errors.OpError as error:
        rule = f"must be whole ({str(error).splitlines()[0]})"
        raise InputError("probe of WebVision-mini", rule, str(file)) from error
    return [(row["image/encoded"], int(row["image/label"])) for row in rows]


def imagenet_val(settings):
    """The validation images of the 50 classes, to test on, from an archive or from TFDS."""
    names = class_names()
    labels = {
        VAL_NAME.format(i): names.index(name)
        for i, name in enumerate(imagenet_file("validation_labels.txt"), start=1)
        if name in names
    }
    converted = []
    if settings.imagenet_val:
        pairs = tar_pairs(storage.fetched(settings.imagenet_val, "--imagenet_val"), labels)
    else:
        every = encoded_pairs(prepared(settings, "imagenet2012"), "validation")
        pairs = ((image, label) for image, label in every if label < NUM_CLASSES)
    return Source(
        class_names=names,
        image_shape=(None, None, 3),
        splits={"test": upright(pairs, "imagenet_val", converted)},
        size=len(labels),
        labels_are_clean=True,
        converted=converted,
    )


IMAGENET_VAL = SourceKind(imagenet_val, settings=("data", "imagenet_val"))


def tar_pairs(path, labels):
    """(encoded image, label) of the files in a tar archive that `labels` names.

    Raises:
      InputError: The archive cannot be read, or some of the files are missing.
    """
    try:
        with tarfile.open(path) as tar:
            members = {Path(member.name).name: member for member in tar}
    except (OSError, tarfile.TarError) as error:
        rule = f"must be ILSVRC2012_img_val.tar ({error})"
        raise InputError("--imagenet_val", rule, path) from error
    missing = [name for name in labels if name not in members]
    if missing:
        rule = (
            f"must have {len(labels)} images of {NUM_CLASSES} classes; {len(missing)} are missing"
        )
        raise InputError("--imagenet_val", f"{rule}, such as {missing[0]}", path)

    def pairs():
        with tarfile.open(path) as tar:
            for name, label in labels.items():
                yield tar.extractfile(members[name]).read(), label

    return pairs()
