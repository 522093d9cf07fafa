"""Trainings in which a part of the batch has no image: nothing trusted, or too little of it."""

import pytest

from tests.image_files import write_images
from trainer import artifacts
from trainer.data import probe, records
from trainer.data.noise import injection
from trainer.settings.data import DataSettings
from trainer.training import configuration, fit

SLOW = pytest.mark.slow


@pytest.fixture(
    scope="module",
    params=[pytest.param((20, 16), id="crops"), pytest.param((16, 16), id="whole", marks=SLOW)],
)
def data(request, tmp_path_factory):
    """A dataset with trusted images, its labels as they are, and its root."""
    root = tmp_path_factory.mktemp("data")
    photos = write_images(root / "photos", 12, size=request.param)
    trusted = write_images(root / "trusted", 3, size=request.param, seed=1)
    settings = DataSettings(data=str(photos), trusted=str(trusted))
    records.prepare("image_folder", root / "data", settings)
    injection.inject(root / "data", root / "noise", "none", 0.0, 0)
    return root, 12 if request.param == (20, 16) else 16


@pytest.mark.parametrize(
    ("trusted", "settings"),
    [
        pytest.param(0, {}, marks=SLOW),
        pytest.param(3, {"batch_size": 2}, marks=SLOW),
        (3, {"batch_size": 1}),
        pytest.param(3, {"calibration_per_class": 3}, marks=SLOW),
        pytest.param(3, {"trusted_fraction": 0.0}, marks=SLOW),
        pytest.param(0, {"method": "supervised"}, marks=SLOW),
    ],
    ids=str,
)
def test_it_trains(data, tmp_path, trusted, settings):
    root, image_size = data
    probe.split(root / "data", tmp_path / "probe", trusted, 0)
    few = {"batch_size": 8, "max_iteration": 2, "image_size": image_size, "backbone": "none"}
    paths = root / "data", root / "noise", tmp_path / "probe", tmp_path / "run", tmp_path / "model"
    fit.train(configuration.resolve("image_folder", **few | settings), *paths)
    artifacts.read(tmp_path / "model", artifacts.MODEL)
