"""A new method, network or source is one file and one line in a registry."""

import json
import sys

import numpy as np
import pytest

from trainer import backbones, command_line, local_run
from trainer.data import sources
from trainer.methods import METHODS
from trainer.networks import NETWORKS
from trainer.settings.data import DataSettings
from trainer.training import configuration

METHOD = """
from dataclasses import dataclass

from etils import epy

from trainer.methods.losses import cross_entropy
from trainer.methods.method import Method
from trainer.settings.fields import setting
from trainer.settings.training import TrainSettings

with epy.lazy_imports():
    import tensorflow as tf


@dataclass(frozen=True)
class BootstrapSettings(TrainSettings):
    \"\"\"Bootstrap.\"\"\"

    own_weight: float = setting(0.2, "weight of the network's own prediction", low=0, high=1)


class Bootstrap(Method):
    \"\"\"Soft bootstrapping (Reed et al., ICLR workshop 2015).\"\"\"

    Settings = BootstrapSettings
    recipe = {"momentum": 0.8}
    scalars = ("loss", "own")
    coefficients = {"agreement": ("Agreement", "mean probability of the given label")}

    @classmethod
    def draws(cls, config, num_classes, seeds):
        return {"threshold": tf.random.stateless_uniform([config.batch_size], seeds[0])}

    def train_step(self, batch):
        y, beta = self.one_hot(batch["label"]), self.config.own_weight
        with tf.GradientTape() as tape:
            z = self.network(batch["image"], training=True)
            p = tf.stop_gradient(tf.nn.softmax(z))
            loss = tf.reduce_mean(cross_entropy((1 - beta) * y + beta * p, z))
            loss += self.regulariser()
        self.update(self.gradients(tape, loss))
        agreement = tf.reduce_sum(y * p, axis=1)
        self.record.add(batch["id"], {"agreement": agreement})
        own = tf.cast(agreement > batch["threshold"], tf.float32)
        return self.report(loss=loss, own=tf.reduce_mean(own))
"""
NETWORK = """
import keras

WEIGHT_DECAY = 1e-4


def build(image_shape, num_classes):
    l2 = keras.regularizers.L2(WEIGHT_DECAY / 2)
    images = keras.Input(image_shape)
    features = keras.layers.Flatten()(images)
    return keras.Model(images, keras.layers.Dense(num_classes, kernel_regularizer=l2)(features))
"""
SOURCE = """
import numpy as np

from trainer.data.sources.digits import png
from trainer.data.sources.source import Source, SourceKind


def stripes(settings):
    rng, pairs = np.random.default_rng(0), {}
    for split, count in (("train", 80), ("test", 20)):
        labels = np.arange(count) % 2
        images = rng.integers(60, size=(count, 8, 8)) + 150 * (np.arange(8) % 2)
        images = [image.T if label else image for image, label in zip(images, labels)]
        pairs[split] = [(png(i.astype(np.uint8)), int(y)) for i, y in zip(images, labels)]
    names = ("upright", "level")
    return Source(names, (8, 8, 1), pairs, size=100, labels_are_clean=True)


KIND = SourceKind(stripes, counted_at_once=True)
"""


BACKBONE = """
import keras

from trainer.backbones.loaded import Loaded

SIDE = 32


def load(side=SIDE):
    images = keras.Input((side, side, 3))
    means = keras.layers.AveragePooling2D(side // 4)(images)
    network = keras.Model(images, keras.layers.Flatten()(means))
    return Loaded(network, source="no weights", licence="none needed", sha256="")
"""


@pytest.fixture
def added(tmp_path, monkeypatch):
    """A function that imports a new module from its text."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def add(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return __import__(name)

    return add


def test_a_method_a_network_and_a_source_of_ones_own_run_end_to_end(added, monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "bootstrap", added("bootstrap", METHOD).Bootstrap)
    monkeypatch.setitem(NETWORKS, "linear", added("linear", NETWORK))
    monkeypatch.setitem(sources.OFFERED, "stripes", added("stripes", SOURCE).KIND)
    settings = configuration.resolve(
        "stripes",
        method="bootstrap",
        network_name="linear",
        batch_size=20,
        crop_padding=0,
        horizontal_flip=False,
        max_iteration=30,
        eval_freq=15,
        own_weight=0.1,
    )
    assert (settings.momentum, settings.own_weight) == (0.8, 0.1)
    assert "own_weight" in command_line.setting_groups()["Bootstrap"]
    root, files = tmp_path / "run", DataSettings(probe_per_class=3)
    noise = {"noise_kind": "uniform", "noise_ratio": 0.4}
    local_run.train(
        root, "stripes", files=files, settings=settings, worker=0, send=lambda _: None, **noise
    )
    assert local_run.evaluate(root, files)["test/top1"] > 0.9
    local_run.audit(root, 0)
    local_run.export(root)
    page = (root / local_run.report(root)).read_text()
    assert "Agreement" in page
    history = json.loads((root / "checkpoints" / "history.json").read_text())
    assert {"train/own", "train/agreement_auroc"} <= set(history[-1])
    assert (
        settings.own_weight
        == configuration.restored(
            json.loads((root / "checkpoints" / "manifest.json").read_text())["config"]
        ).own_weight
    )


@pytest.mark.slow
def test_a_backbone_of_ones_own_runs_end_to_end(added, monkeypatch, tmp_path):
    monkeypatch.setitem(backbones.CATALOGUE, "patches", added("patches", BACKBONE))
    settings = configuration.resolve(
        "digits",
        method="supervised",
        backbone="patches",
        backbone_image_size=8,
        max_iteration=60,
        eval_freq=30,
    )
    root, files = tmp_path / "run", DataSettings(probe_per_class=3)
    run = {"files": files, "settings": settings, "worker": 0, "send": lambda _: None}
    local_run.train(root, "digits", "none", 0.0, **run)
    assert np.load(root / "embeddings" / "train.npy").shape == (1437, 1, 48)
    assert local_run.evaluate(root, files)["test/top1"] > 0.7
    local_run.audit(root, 0)
    local_run.export(root)
    local_run.report(root)
    assert "none needed" in (root / "exported_model" / "model_card.md").read_text()


def test_what_is_not_in_a_registry_is_refused(added):
    with pytest.raises(ValueError, match="--method: must be one of supervised, robust"):
        configuration.resolve("digits", method="bootstrap")
