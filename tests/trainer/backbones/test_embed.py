import dataclasses
import io
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.trainer.backbones.conftest import SIDE, D
from trainer.backbones import embed, fetch, shards
from trainer.data import records
from trainer.errors import InputError
from trainer.training import configuration

CUT_OFF = """
import os, signal, sys
from trainer.backbones import embed, shards
from trainer.training import configuration
shards.SHARD, write, written = 32, shards.write_shard, []

def write_and_die(file, rows):
    if written:
        with open(f"{file}.partial", "wb") as half:
            half.write(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    write(file, rows)
    written.append(file)

shards.write_shard = write_and_die
dataset, backbone, output, own = sys.argv[1:]
embed.embed(
    dataset, backbone, output,
    configuration.resolve("image_folder", backbone=own, backbone_views=3),
)
"""


def arrays(path):
    return np.load(path / "train.npy"), np.load(path / "test.npy")


def test_rows_are_the_embeddings_of_what_tests_see(embedded, photographs, backbone):
    train, test = arrays(embedded)
    assert (train.shape, train.dtype) == ((60, 3, D), np.float16)
    assert test.shape == (10, 1, D)
    network, images = fetch.read_network(backbone), records.EncodedImages(photographs, "test")
    for row, file in zip(test[:, 0], images[np.arange(10)], strict=True):
        image = Image.open(io.BytesIO(file))
        side = round(min(image.size) * 224 / 256)
        left, top = ((size - side) // 2 for size in image.size)
        middle = image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), 2, None, 1)
        expected = network.predict_on_batch(np.asarray(middle, np.float32)[np.newaxis])[0]
        np.testing.assert_allclose(row[:3], expected[:3], rtol=0.1)


def test_further_views_are_other_ones_of_the_same_image(embedded):
    train, _ = arrays(embedded)
    for view in (1, 2):
        assert not (train[:, 0] == train[:, view]).all(axis=1).any()
    assert not (train[:, 1] == train[:, 2]).all(axis=1).any()


def test_the_same_again_is_the_same_and_another_seed_is_not(
    embedded, photographs, backbone, settings, tmp_path
):
    made = embed.embed(photographs, backbone, tmp_path / "again", settings)
    assert made["id"] == json.loads((embedded / "manifest.json").read_text())["id"]
    embed.embed(photographs, backbone, tmp_path / "other", settings, seed=1)
    (train, test), (other, other_test) = arrays(embedded), arrays(tmp_path / "other")
    np.testing.assert_array_equal(test, other_test)
    np.testing.assert_array_equal(train[:, 0], other[:, 0])
    assert not (train[:, 1] == other[:, 1]).all(axis=1).any()


def test_what_is_there_is_not_made_again(photographs, backbone, settings, tmp_path):
    embed.embed(photographs, backbone, tmp_path / "a", settings)
    since = (tmp_path / "a" / "train.npy").stat().st_mtime_ns
    embed.embed(photographs, backbone, tmp_path / "a", settings)
    assert (tmp_path / "a" / "train.npy").stat().st_mtime_ns == since
    fewer = dataclasses.replace(settings, backbone_views=1)
    assert embed.embed(photographs, backbone, tmp_path / "a", fewer)["views"] == 1
    assert arrays(tmp_path / "a")[0].shape == (60, 1, D)


@pytest.mark.slow
def test_a_killed_run_resumes_at_the_shard(
    embedded, photographs, backbone, own_backbone, settings, tmp_path, monkeypatch
):
    paths = map(str, (photographs, backbone, tmp_path / "out", own_backbone))
    done = subprocess.run([sys.executable, "-c", CUT_OFF, *paths], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = sorted(file.name for file in (tmp_path / "out" / "shards").iterdir())
    assert left == ["train-000000000.npy", "train-000000032.npy.partial"]
    with pytest.raises(InputError, match=r"embeddings: must hold a manifest.json; .*half-written"):
        embed.artifacts.read(tmp_path / "out", "embeddings")
    written, write = [], shards.write_shard
    monkeypatch.setattr(shards, "SHARD", 32)
    monkeypatch.setattr(
        shards, "write_shard", lambda file, rows: (written.append(file.name), write(file, rows))
    )
    embed.embed(photographs, backbone, tmp_path / "out", settings)
    assert written == ["train-000000032.npy", "test-000000000.npy"]
    for found, expected in zip(arrays(tmp_path / "out"), arrays(embedded), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert sorted(file.name for file in (tmp_path / "out").iterdir() if file.suffix) == [
        *("asked.json", "manifest.json", "test.npy", "train.npy")
    ]


def test_grey_images_of_eight_pixels(digits, backbone, own_backbone, tmp_path):
    config = configuration.resolve("digits", backbone=str(own_backbone))
    made = embed.embed(digits, backbone, tmp_path / "a", config)
    assert (made["crop_side"], made["image_shape"]) == (0, [8, 8, 1])
    train, test = arrays(tmp_path / "a")
    assert (train.shape, test.shape) == ((1437, 1, D), (360, 1, D))
    means = records.read_images(digits, "test").mean(axis=(1, 2, 3))
    for channel in range(3):
        np.testing.assert_allclose(test[:, 0, channel], means, rtol=0.1)


def test_numbers_beyond_half_precision_are_refused(tmp_path):
    with pytest.raises(InputError, match="--backbone: must give numbers that are finite in half"):
        shards.write_shard(tmp_path / "a.npy", np.full((2, 1, 3), 1e6).astype(np.float16))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_line(photographs, backbone, settings, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards.np, "save", full)
    with pytest.raises(InputError, match="must be on a disk with enough room"):
        embed.embed(photographs, backbone, tmp_path / "a", settings)
    assert not list((tmp_path / "a").rglob("*.npy"))


def test_a_backbone_that_is_none_is_refused(photographs, settings, tmp_path):
    with pytest.raises(InputError, match="backbone: must be of kind backbone"):
        embed.embed(photographs, photographs, tmp_path / "a", settings)
    assert not (tmp_path / "a").exists()
