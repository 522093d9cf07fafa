import keras
import pytest

from tests.image_files import write_images
from trainer.backbones import embed, fetch
from trainer.data import records
from trainer.settings.data import DataSettings
from trainer.training import configuration

SIDE, D = 16, 12


@pytest.fixture(scope="session")
def own_backbone(tmp_path_factory):
    """A .keras file: the mean of each channel and a few random features of images of SIDE."""
    path = tmp_path_factory.mktemp("own") / "own.keras"
    keras.utils.set_random_seed(3)
    images = keras.Input((SIDE, SIDE, 3))
    means = keras.layers.GlobalAveragePooling2D()(images)
    x = keras.layers.Conv2D(D - 3, 4, 4, activation="relu")(images / 255.0)
    x = keras.layers.GlobalMaxPooling2D()(x)
    keras.Model(images, keras.layers.Concatenate()([means, x])).save(path)
    return path


@pytest.fixture(scope="session")
def backbone(own_backbone, tmp_path_factory):
    path = tmp_path_factory.mktemp("fetched") / "backbone"
    fetch.fetch(str(own_backbone), path)
    return path


@pytest.fixture(scope="session")
def settings(own_backbone):
    return configuration.resolve("image_folder", backbone=str(own_backbone), backbone_views=3)


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """40 training images of two sizes, 10 test images."""
    root = tmp_path_factory.mktemp("photographs")
    write_images(root / "data" / "train", 20)
    write_images(root / "more", 10, size=(100, 70), seed=1)
    for file in sorted((root / "more").rglob("*.jpg")):
        file.rename(root / "data" / "train" / file.parent.name / f"large-{file.name}")
    write_images(root / "data" / "test", 5, seed=2)
    records.prepare("image_folder", root / "dataset", DataSettings(data=str(root / "data")))
    return root / "dataset"


@pytest.fixture(scope="session")
def embedded(photographs, backbone, settings, tmp_path_factory):
    path = tmp_path_factory.mktemp("embedded") / "embeddings"
    embed.embed(photographs, backbone, path, settings)
    return path
