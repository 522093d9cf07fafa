"""Every method trains a head on embeddings, and what follows a training takes it as any other."""

import dataclasses
import json
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

from trainer import artifacts, local_run
from trainer.backbones import embed, fetch
from trainer.data import records
from trainer.errors import InputError
from trainer.evaluation import predictions
from trainer.methods import METHODS
from trainer.settings.data import DataSettings
from trainer.training import configuration, fit

FEW = {"max_iteration": 12, "eval_freq": 6, "batch_size": 100}


@pytest.fixture(scope="module")
def embeddings(digits, backbone, own_backbone, tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "embeddings"
    config = configuration.resolve("digits", backbone=str(own_backbone), backbone_views=2)
    embed.embed(digits, backbone, path, config)
    return path


@pytest.fixture
def train(digits, noisy_labels, probe_split, embeddings, own_backbone, tmp_path):
    """A function that trains a method on the embeddings. Returns its checkpoints."""

    def train(method, name="run", callbacks=(), **settings):
        config = configuration.resolve(
            "digits", method=method, backbone=str(own_backbone), **FEW | settings
        )
        root = tmp_path / name
        data = digits, noisy_labels, probe_split
        fit.train(
            config,
            *data,
            root / "checkpoints",
            root / "model",
            callbacks=callbacks,
            embeddings_path=embeddings,
        )
        return root / "checkpoints"

    return train


def weights(checkpoints, embeddings):
    method, _ = fit.restore(checkpoints, embeddings)
    return [variable.numpy() for part in (method.theta, method.ema) for variable in part]


class CutOff(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_and_resumes_exactly(method, train, embeddings):
    whole = weights(train(method), embeddings)
    with pytest.raises(KeyboardInterrupt):
        train(method, "again", callbacks=[CutOff(9)])
    resumed = weights(train(method, "again"), embeddings)
    for found, expected in zip(resumed, whole, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.slow
def test_half_precision(precision, train, embeddings):
    checkpoints = train("robust", mixed_precision=precision)
    assert all(np.isfinite(values).all() for values in weights(checkpoints, embeddings))


def test_a_head_learns_from_embeddings(train, digits, embeddings):
    """The means of digits tell them apart a little; chance is 10%."""
    checkpoints = train("supervised", max_iteration=200)
    history = json.loads((checkpoints / "history.json").read_text())
    assert history[-1]["train/loss"] < history[0]["train/loss"]
    method, run = fit.restore(checkpoints, embeddings)
    assert run["image_shape"] == [12]
    assert run["config"]["network_name"] == "head"
    z = predictions.predict_logits(digits, method, "test", np.array([5, 2]))
    np.testing.assert_array_equal(z, predictions.predict_logits(digits, method, "test")[[5, 2]])


def test_probabilities_are_means_over_the_views(train, digits, embeddings):
    method, _ = fit.restore(train("supervised"), embeddings)
    network = fit.averaged_network(method)
    rows = np.load(embeddings / "train.npy").astype(np.float32)
    expected = np.mean([softmax(network(rows[:, v]), axis=1) for v in (0, 1)], axis=0)
    found = predictions.predict_probabilities(digits, method)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_other_embeddings_than_those_of_the_run_are_refused(
    train, digits, noisy_labels, probe_split, embeddings, embedded, backbone, tmp_path
):
    checkpoints = train("supervised")
    with pytest.raises(InputError, match="must be of the backbone of the run"):
        fit.restore(checkpoints)
    config = fit.restore(checkpoints, embeddings)[0].config
    other = dataclasses.replace(config, backbone_views=1)
    embed.embed(digits, backbone, tmp_path / "other", other)
    with pytest.raises(InputError, match="checkpoints: must be made from the embeddings"):
        fit.restore(checkpoints, tmp_path / "other")
    data, out = (digits, noisy_labels, probe_split), (tmp_path / "a", tmp_path / "b")
    with pytest.raises(InputError, match="embeddings: must be made from the prepared_dataset"):
        fit.train(config, *data, *out, embeddings_path=embedded)
    with pytest.raises(InputError, match="embeddings: must be of the backbone of the run"):
        lite0 = dataclasses.replace(config, backbone="efficientnet_lite0")
        fit.train(lite0, *data, *out, embeddings_path=embeddings)
    assert not any(path.exists() for path in out)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"backbone": "resnet"}, "--backbone: must be none, efficientnet_lite0, keras:<Name>"),
        (
            {"backbone": "none", "backbone_views": 3},
            "--backbone_views: is for a --backbone, which is none",
        ),
        ({"backbone": "none", "network_name": "head"}, "--network_name: must be one of"),
        ({"backbone": "efficientnet_lite0", "image_size": 64}, "--image_size: is for networks"),
        ({"backbone": "efficientnet_lite0", "rotation_weight": 1.0}, "--rotation_weight: is for"),
        ({"backbone": "efficientnet_lite0", "aug_type": "autoaug"}, "--aug_type: is for networks"),
    ],
)
def test_settings_that_mean_nothing_there_are_refused(given, rule):
    with pytest.raises(InputError, match=rule):
        configuration.resolve("image_folder", **given)


@pytest.fixture(scope="module")
def run(photographs, own_backbone, tmp_path_factory):
    """A run on photographs, from start to report."""
    root = tmp_path_factory.mktemp("run")
    data = photographs.parent / "data"
    files = DataSettings(data=str(data / "train"), trusted=str(data / "test"), probe_per_class=2)
    settings = configuration.resolve(
        "image_folder", backbone=str(own_backbone), max_iteration=6, eval_freq=6, batch_size=20
    )
    arguments = dict(files=files, settings=settings, worker=0, send=lambda _: None)
    local_run.train(root, "image_folder", "none", 0.0, **arguments)
    local_run.evaluate(root, files)
    local_run.audit(root, 2)
    local_run.export(root)
    local_run.report(root)
    return root


def test_the_exported_model_answers_as_the_evaluation_does(run):
    dataset = run / artifacts.PREPARED_DATASET
    method, _ = fit.restore(run / "checkpoints", run / "embeddings")
    exported = artifacts.read(run / "exported_model", artifacts.EXPORTED_MODEL)
    z = predictions.predict_logits(dataset, method, "test")
    files = records.EncodedImages(dataset, "test")[np.arange(len(z))]
    served = tf.saved_model.load(str(run / "exported_model" / "saved_model"))
    found = served(tf.constant(list(files)))["probabilities"]
    np.testing.assert_allclose(found, softmax(z / exported["temperature"], axis=1), atol=1e-4)


def test_keras_loads_backbone_and_head(run, photographs):
    network = keras.saving.load_model(run / "exported_model" / "model.keras", compile=False)
    assert network.input_shape == (None, 16, 16, 3)
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)
    embeddings = fetch.read_network(run / "backbone").predict_on_batch(images)
    method, _ = fit.restore(run / "checkpoints", run / "embeddings")
    expected = fit.averaged_network(method)(embeddings.astype(np.float16).astype(np.float32))
    np.testing.assert_allclose(network.predict_on_batch(images), expected, rtol=1e-4, atol=1e-5)


def test_card_and_report_name_the_backbone(run, own_backbone):
    card = (run / "exported_model" / "model_card.md").read_text()
    made = fetch.read(run / "backbone")
    for text in ("own file own.keras", "that of the file", made["sha256"], "head, robust"):
        assert text in card
    assert str(own_backbone) in (run / "report.html").read_text()


def test_a_backbone_that_is_changed_is_not_exported(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    fetch.fetch("efficientnet_lite0", tmp_path / "run" / "backbone", side=32)
    with pytest.raises(InputError, match="embeddings: must be made from the backbone"):
        local_run.export(tmp_path / "run")


def test_imagenet_is_for_networks_that_see_images(run):
    with pytest.raises(
        InputError, match="--use_imagenet_as_eval: is for networks without a backbone"
    ):
        local_run.evaluate(run, DataSettings(), on_imagenet=True)


KILLED = """
import os, signal, sys
from trainer import interrupts
from trainer.backbones import shards

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

shards.join = die
sys.argv[0] = "trainer"
import runpy
runpy.run_module("trainer", run_name="__main__")
"""


@pytest.mark.slow
def test_from_the_command_line_and_resumed_after_a_kill(photographs, own_backbone, tmp_path):
    data = photographs.parent / "data"
    flags = {
        "data": data / "train",
        "trusted": data / "test",
        "probe_per_class": 2,
        "backbone": own_backbone,
        "max_iteration": 4,
        "checkpoint_path": tmp_path / "out",
    }
    flags = [f"--{name}={value}" for name, value in flags.items()]
    killed = subprocess.run([sys.executable, "-c", KILLED, *flags], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / "out" / "embeddings" / "shards").is_dir()
    done = subprocess.run([sys.executable, "-m", "trainer", *flags], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "out" / "embeddings" / "shards").exists()
    assert "test/top1" in done.stdout
    lacking = [sys.executable, "-m", "trainer", *flags, "--backbone=lacking.keras"]
    refused = subprocess.run(lacking, capture_output=True, text=True)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "--backbone: must be a file that is there" in refused.stderr


@pytest.mark.slow
def test_a_backbone_that_is_refused_leaves_the_directory_to_the_next_command(
    photographs, own_backbone, tmp_path
):
    data = photographs.parent / "data"
    images = keras.Input((16, 16, 3))
    keras.Model(images, keras.layers.Conv2D(4, 3)(images)).save(tmp_path / "map.keras")
    command = [sys.executable, "-m", "trainer", f"--data={data}/train", f"--trusted={data}/test"]
    command += ["--probe_per_class=2", "--max_iteration=1", f"--checkpoint_path={tmp_path}/out"]
    refused, done = (
        subprocess.run([*command, f"--backbone={file}"], capture_output=True, text=True)
        for file in (tmp_path / "map.keras", own_backbone)
    )
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "--backbone: must give a vector (B, D) for each image" in refused.stderr
    assert done.returncode == 0, done.stderr
