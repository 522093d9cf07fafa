"""Presets of KerasHub from folders, with random weights."""

import json
import os
import shutil
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

from trainer import artifacts, backbones, local_run
from trainer.backbones import fetch
from trainer.data import records
from trainer.errors import InputError
from trainer.evaluation import predictions
from trainer.settings.data import DataSettings
from trainer.training import configuration, fit

if os.environ.get("CI"):
    import keras_hub
else:
    keras_hub = pytest.importorskip("keras_hub")

SIDE, D = 28, 8
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def dinov2(tmp_path_factory):
    """A folder with the preset alone, for images of 28 pixels."""
    keras.utils.set_random_seed(1)
    made = keras_hub.models.DINOV2Backbone(
        patch_size=14,
        num_layers=1,
        hidden_dim=D,
        num_heads=2,
        intermediate_dim=16,
        image_shape=(SIDE, SIDE, 3),
        position_embedding_shape=(42, 42, 3),
    )
    folder = tmp_path_factory.mktemp("presets") / "dinov2"
    made.save_to_preset(str(folder))
    return folder


@pytest.fixture(scope="module")
def fetched(dinov2, tmp_path_factory):
    path = tmp_path_factory.mktemp("fetched") / "backbone"
    fetch.fetch(f"hub:{dinov2}", path)
    return path


def images(side=SIDE):
    return np.random.default_rng(0).uniform(0, 255, (3, side, side, 3)).astype(np.float32)


def test_dinov2_is_its_class_token_on_images_normalised_as_imagenet(dinov2, fetched, tmp_path):
    written = fetch.read(fetched)
    assert (written["image_side"], written["embedding_size"]) == (SIDE, D)
    assert written["source"].endswith("preset dinov2; images by the mean and deviation of ImageNet")
    assert written["needs"].startswith("keras-hub")
    original = keras_hub.models.Backbone.from_preset(str(dinov2))
    tokens = original({"images": (images() / 255 - MEAN) / DEVIATION}, training=False)
    found = fetch.read_network(fetched).predict_on_batch(images())
    np.testing.assert_allclose(found, tokens[:, 0], rtol=1e-4, atol=1e-5)
    assert fetch.fetch(f"hub:{dinov2}", tmp_path / "again")["id"] == written["id"]
    larger = fetch.fetch(f"hub:{dinov2}", tmp_path / "larger", side=42)
    assert larger["image_side"] == 42
    assert np.isfinite(fetch.read_network(tmp_path / "larger").predict_on_batch(images(42))).all()


def test_a_changed_folder_is_fetched_again(dinov2, tmp_path):
    shutil.copytree(dinov2, tmp_path / "folder")
    written = fetch.fetch(f"hub:{tmp_path}/folder", tmp_path / "a")
    other = keras_hub.models.Backbone.from_preset(str(dinov2), load_weights=False)
    other.save_to_preset(str(tmp_path / "folder"))
    assert fetch.fetch(f"hub:{tmp_path}/folder", tmp_path / "a")["sha256"] != written["sha256"]


def vit(folder):
    keras_hub.models.ViTBackbone(
        image_shape=(32, 32, 3), patch_size=16, num_layers=1, num_heads=2, hidden_dim=D, mlp_dim=16
    ).save_to_preset(str(folder))
    return f"hub:{folder}"


def test_vit_is_its_class_token_on_images_from_minus_1_to_1(tmp_path):
    name = vit(tmp_path / "vit")
    fetch.fetch(name, tmp_path / "a")
    original = keras_hub.models.Backbone.from_preset(str(tmp_path / "vit"))
    expected = original(images(32) / 127.5 - 1, training=False)[:, 0]
    found = fetch.read_network(tmp_path / "a").predict_on_batch(images(32))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="--backbone_image_size=48 a size that it can") as raised:
        fetch.fetch(name, tmp_path / "b", side=48)
    assert "\n" not in str(raised.value)


@pytest.fixture
def resnet(tmp_path):
    """A folder with an image converter of its own scale and size."""
    original = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 16],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
    )
    original.save_to_preset(str(tmp_path / "resnet"))
    converter = keras_hub.layers.ResNetImageConverter(
        image_size=(40, 40), scale=[0.1, 0.2, 0.3], offset=[1.0, 2.0, 3.0]
    )
    converter.save_to_preset(str(tmp_path / "resnet"))
    return original, f"hub:{tmp_path}/resnet"


LOAD = """
import sys
sys.modules["keras_hub"] = None
import numpy as np
from trainer.backbones import fetch
images = np.load(sys.argv[2])
np.save(sys.argv[3], fetch.read_network(sys.argv[1]).predict_on_batch(images))
"""


def test_resnet_is_the_mean_of_its_map_and_loads_without_kerashub(resnet, tmp_path):
    original, name = resnet
    written = fetch.fetch(name, tmp_path / "a")
    assert (written["image_side"], written["embedding_size"]) == (40, 16)
    assert written["source"].endswith("images by its image converter")
    assert "needs" not in written
    np.save(tmp_path / "images.npy", images(40))
    paths = [str(tmp_path / file) for file in ("a", "images.npy", "found.npy")]
    subprocess.run([sys.executable, "-c", LOAD, *paths], check=True)
    expected = original(images(40) * [0.1, 0.2, 0.3] + [1, 2, 3], training=False)
    found = np.load(tmp_path / "found.npy")
    np.testing.assert_allclose(found, expected.numpy().mean((1, 2)), rtol=1e-4, atol=1e-5)


def test_without_kerashub_one_line_says_how_to_install_it(dinov2, fetched, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    for load in (lambda: backbones.check(f"hub:{dinov2}", ""), lambda: fetch.read_network(fetched)):
        with pytest.raises(InputError, match=r"needs KerasHub; pip install --no-deps keras-hub=="):
            load()


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
        (lambda folder: (folder / "config.json").write_text("{"), "must be a folder as backbone"),
        (lambda folder: (folder / "config.json").write_text("{}"), "Unrecognized format"),
        (lambda folder: (folder / "model.weights.h5").unlink(), "model.weights.h5 is missing"),
        (
            lambda folder: (folder / "model.weights.h5").write_bytes(b"none"),
            "must be a folder as backbone",
        ),
        (shutil.rmtree, "must name a folder that is there"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(dinov2, broken, rule, tmp_path):
    shutil.copytree(dinov2, tmp_path / "folder")
    broken(tmp_path / "folder")
    with pytest.raises(InputError, match=f"--backbone: .*{rule}") as raised:
        fetch.fetch(f"hub:{tmp_path}/folder", tmp_path / "out")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_preset_of_texts_is_refused(tmp_path):
    keras_hub.models.BertBackbone(
        vocabulary_size=9, num_layers=1, num_heads=2, hidden_dim=4, intermediate_dim=4
    ).save_to_preset(str(tmp_path / "bert"))
    with pytest.raises(InputError, match="--backbone: must ") as raised:
        fetch.fetch(f"hub:{tmp_path}/bert", tmp_path / "out")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "name",
    [
        "dinov2_small",
        pytest.param("hf://owner/name", marks=pytest.mark.slow),  # it tries for 20 seconds
    ],
)
def test_a_preset_that_cannot_be_had_says_how_to_bring_it(name, tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise socket.gaierror("no network")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kaggle"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "face"))
    with pytest.raises(InputError, match=r"save_to_preset\('folder'\), bring the folder") as raised:
        fetch.fetch(f"hub:{name}", tmp_path / "out")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_an_unknown_preset_is_refused_with_the_closest(tmp_path):
    with pytest.raises(InputError, match="must be a preset of KerasHub; the closest is dinov2_sm"):
        fetch.fetch("hub:dino2_small", tmp_path / "out")


@pytest.mark.slow
def test_a_folder_in_cloud_storage(dinov2, fetched, bucket, tmp_path):
    for file in dinov2.iterdir():
        bucket.blob(f"presets/dinov2/{file.name}").upload_from_filename(str(file))
    written = fetch.fetch("hub:gs://photos/presets/dinov2", tmp_path / "a")
    assert written["sha256"] == fetch.read(fetched)["sha256"]


SERVE = """
import sys
sys.modules.update(dict.fromkeys(("keras", "keras_hub", "trainer")))
import numpy as np, tensorflow as tf
served = tf.saved_model.load(sys.argv[1])
files = [open(file, "rb").read() for file in sys.argv[3:]]
np.save(sys.argv[2], served(tf.constant(files))["probabilities"])
"""


EVALUATE = """
import sys
from pathlib import Path
from trainer import local_run

local_run.evaluate(Path(sys.argv[1]), None)
"""
FINE_TUNED = {"finetune": True, "finetune_epochs": 1, "finetune_image_size": SIDE}


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, FINE_TUNED], ids=["head", "fine-tuned"])
def test_a_run_on_it_is_exported_for_tensorflow_alone(dinov2, photographs, tmp_path, more):
    root, data = tmp_path / "run", photographs.parent / "data"
    root.mkdir()
    files = DataSettings(data=str(data / "train"), trusted=str(data / "test"), probe_per_class=2)
    settings = configuration.resolve(
        "image_folder",
        backbone=f"hub:{dinov2}",
        max_iteration=4,
        eval_freq=4,
        batch_size=20,
        **more,
    )
    given = dict(files=files, settings=settings, worker=0, send=lambda _: None)
    local_run.train(root, "image_folder", "none", 0.0, **given)
    subprocess.run([sys.executable, "-c", EVALUATE, root], check=True)
    local_run.export(root)
    method, _ = fit.restore(root / "checkpoints", root / "embeddings")
    z = predictions.predict_logits(root / artifacts.PREPARED_DATASET, method, "test")
    encoded = records.EncodedImages(root / artifacts.PREPARED_DATASET, "test")[np.arange(len(z))]
    for number, content in enumerate(encoded):
        (tmp_path / f"{number}.jpg").write_bytes(content)
    paths = [root / "exported_model" / "saved_model", tmp_path / "found.npy"]
    paths += [tmp_path / f"{number}.jpg" for number in range(len(z))]
    subprocess.run([sys.executable, "-c", SERVE, *map(str, paths)], check=True)
    manifest = json.loads((root / "exported_model" / "manifest.json").read_text())
    expected = softmax(z / manifest["temperature"], axis=1)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, atol=1e-4)
    card = (root / "exported_model" / "model_card.md").read_text()
    assert f"Keras with {manifest['backbone']['needs']} loads it" in card
    assert tf.io.gfile.exists(str(root / "exported_model" / "model.keras"))
