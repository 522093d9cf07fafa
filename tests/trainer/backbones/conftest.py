import pytest

from tests.image_files import write_images
from trainer.backbones import embed, fetch
from trainer.data import records
from trainer.settings.data import DataSettings
from trainer.training import configuration

SIDE, D = 16, 12  # of `own_backbone`


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
