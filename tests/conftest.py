import inspect
import os
import sys
import traceback

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import docker
from components import images
from tests.image_files import write_images
from trainer import local_run
from trainer.audit import label_issues
from trainer.data import probe, records
from trainer.data.noise import injection
from trainer.evaluation import evaluate
from trainer.serving import export
from trainer.settings.data import DataSettings
from trainer.training import configuration, fit

# Two devices for tests of replicas; a computation runs on the first by default.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
# Sums are then taken in the same order on every machine. One golden step has an activation at 2e-8,
# whose sign, and with it a gradient, follows from that order.
tf.config.threading.set_intra_op_parallelism_threads(2)


def stack(context=1):
    """As `inspect.stack`, without looking for the source of each of pytest's forty calls.

    kfp asks for the name of its caller at each setting of a task; looking takes 0.1 s each time.
    """
    return [
        inspect.FrameInfo(frame, frame.f_code.co_filename, line, frame.f_code.co_name, None, None)
        for frame, line in traceback.walk_stack(sys._getframe(1))
    ]


inspect.stack = stack


@pytest.fixture(scope="session")
def two_replicas():
    """The only strategy of the process: replicas of a second one would take part in its sums."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="session")
def engine():
    """A client of the Docker engine, which has the image of this code."""
    try:
        client = docker.from_env()
        client.images.get(images.TRAINER)
    except docker.errors.DockerException as error:
        lacking = pytest.fail if os.environ.get("CI") else pytest.skip
        lacking(f"needs a Docker engine and the image of make build-images: {error}")
    return client


ON_EACH_RUNNER = ["subprocess", pytest.param("docker", marks=pytest.mark.docker)]


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """The prepared digits."""
    path = tmp_path_factory.mktemp("digits") / "prepared_dataset"
    records.prepare("digits", path)
    return path


@pytest.fixture(scope="session")
def noisy_labels(digits, tmp_path_factory):
    """90% uniform noise on the digits."""
    path = tmp_path_factory.mktemp("noise") / "noisy_labels"
    injection.inject(digits, path, "uniform", 0.9, seed=0)
    return path


@pytest.fixture(scope="session")
def probe_split(digits, tmp_path_factory):
    """10 trusted digits per class."""
    path = tmp_path_factory.mktemp("probe") / "probe_split"
    probe.split(digits, path, per_class=10, seed=0)
    return path


@pytest.fixture(scope="session")
def trained(digits, noisy_labels, probe_split, tmp_path_factory):
    """A function that trains a method for a few steps. Returns its directory."""

    def train(method, **settings):
        root = tmp_path_factory.mktemp(method)
        settings = configuration.resolve("digits", method=method, **settings)
        fit.train(settings, digits, noisy_labels, probe_split, root / "checkpoints", root / "model")
        return root

    return train


@pytest.fixture(scope="session")
def own_backbone(tmp_path_factory):
    """A .keras file: the mean of each channel and a few random features of images of 16 pixels."""
    path = tmp_path_factory.mktemp("own") / "own.keras"
    keras.utils.set_random_seed(3)
    images = keras.Input((16, 16, 3))
    means = keras.layers.GlobalAveragePooling2D()(images)
    x = keras.layers.Conv2D(9, 4, 4, activation="relu")(images / 255.0)
    x = keras.layers.GlobalMaxPooling2D()(x)
    keras.Model(images, keras.layers.Concatenate()([means, x])).save(path)
    return path


@pytest.fixture(scope="session")
def supervised_run(trained, digits):
    """20 supervised steps, and their metrics."""
    root = trained("supervised", max_iteration=20, eval_freq=20)
    evaluate.evaluate(digits, root / "checkpoints", root / "metrics")
    return root


CIFAR10_CLASSES = [
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
]


@pytest.fixture(scope="session")
def tfds_data_dir(tmp_path_factory):
    """A TFDS directory with a small cifar10 in it, in the features and order TFDS gives it."""
    data_dir = tmp_path_factory.mktemp("tensorflow_datasets")
    builder = tfds.builder("cifar10", data_dir=data_dir)
    builder.info.features["label"].names = CIFAR10_CLASSES
    directory = data_dir / "cifar10" / str(builder.version)
    directory.mkdir(parents=True)
    info = tfds.core.DatasetInfo(
        builder=tfds.core.DatasetIdentity(
            name="cifar10", version=builder.version, data_dir=str(directory), module_name=__name__
        ),
        features=builder.info.features,
    )
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=30)
    writer.initialize_splits(["train", "test"])
    rng = np.random.default_rng(0)
    for split, count in (("train", 100), ("test", 20)):
        examples = [
            {
                "id": f"{split}_{i:05d}",
                "image": rng.integers(256, size=(32, 32, 3)).astype(np.uint8),
                "label": i % 10,
            }
            for i in range(count)
        ]
        writer.add_examples({split: examples})
    writer.close_all()
    return data_dir


HOSTILE = ["</script><script>alert(1)</script>", "=2+2 & </style>'\""]


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory):
    """A run on files and labels of hostile names, with all that the pipeline makes of it."""
    root = tmp_path_factory.mktemp("hostile")
    images = write_images(root / 'im,"ages<img src=x>', 12)
    files = pd.DataFrame({"path": sorted(images.rglob("*.jpg"))})
    number = files.index % 12
    files["label"] = np.repeat(HOSTILE, 12)
    files["trusted"] = (number < 2).astype(int)
    files["split"] = np.where(number < 10, "train", "test")
    files.to_csv(root / "table.csv", index=False)
    data = [root / name for name in ("prepared_dataset", "noisy_labels", "probe_split")]
    records.prepare("csv", data[0], DataSettings(data=str(root / "table.csv")))
    injection.inject(data[0], data[1], "none", 0.0, 0)
    probe.split(data[0], data[2], 1, 0)
    settings = configuration.resolve(
        "csv", method="supervised", backbone="none", batch_size=4, max_iteration=2
    )
    fit.train(settings, *data, root / "checkpoints", root / "model")
    label_issues.audit(*data, [root / "checkpoints"], root / "label_audit")
    evaluate.evaluate(data[0], root / "checkpoints", root / "metrics")
    export.export(data[0], data[2], root / "checkpoints", root / "exported_model")
    local_run.report(root)
    return root
