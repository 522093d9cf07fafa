"""Errors that are found before anything is read or written."""

import os
import time

import pandas as pd
import pytest

from tests.image_files import write_images
from trainer.data import inputs
from trainer.errors import InputError
from trainer.settings.data import DataSettings
from trainer.settings.training import TrainSettings


@pytest.fixture
def photos(tmp_path):
    return write_images(tmp_path / "photos", 10)


def wrong(rule, dataset, noise="none", **settings):
    settings = {name: str(value) for name, value in settings.items()}
    with pytest.raises(InputError, match=rule):
        inputs.check(dataset, DataSettings(**settings), noise)


def test_paths_that_are_not_there(photos, tmp_path):
    folder = {"dataset": "image_folder", "data": photos}
    wrong("--data: must exist", "csv", data=tmp_path / "none.csv")
    wrong("--trusted: must exist", **folder, trusted=tmp_path / "none")
    wrong("--test: must exist", **folder, test=tmp_path / "none")
    wrong("--imagenet_val: must exist", "digits", imagenet_val=tmp_path / "none")
    wrong("--data: must be a table", "csv", data=photos)
    os.mkfifo(tmp_path / "pipe")
    wrong("--data: must be a file", "csv", data=tmp_path / "pipe")


def test_a_table_without_its_column_or_files(photos, tmp_path):
    table = tmp_path / "table.csv"
    rows = pd.DataFrame({"path": sorted(photos.rglob("*.jpg"))})
    rows["kind"] = [path.parent.name for path in rows.path]
    rows.to_csv(table, index=False)
    wrong("--data: must have a column label", "csv", data=table)
    rows.path = [f"{path}.gone" for path in rows.path]
    rows.to_csv(table, index=False)
    wrong("image: is not there", "csv", data=table, label_column="kind")


def test_trusted_images_that_are_none_or_more_than_the_others(photos, tmp_path):
    few = write_images(tmp_path / "few", 2)
    (tmp_path / "empty").mkdir()
    wrong("--trusted: .* it is the same", "image_folder", data=photos, trusted=photos)
    wrong("--test: .* the same as --data", "image_folder", data=photos, test=photos)
    wrong("--test: .* the same as --tr", "image_folder", data=photos, trusted=few, test=few)
    wrong("--trusted: must hold", "image_folder", data=photos, trusted=tmp_path / "empty")
    wrong("--trusted: .* swap the two", "image_folder", data=few, trusted=photos)


def test_noise_of_other_datasets(photos, tmp_path):
    labels = tmp_path / "labels.pt"
    labels.touch()
    folder = {"dataset": "image_folder", "data": photos}
    wrong("--noise: human is for cifar10 and cifar100", **folder, noise="human", noise_file=labels)


def test_a_probe_that_is_too_large(photos, tmp_path):
    few = write_images(tmp_path / "few", 2)
    folder = {"dataset": "image_folder", "data": str(photos), "trusted": str(few)}
    dataset = folder.pop("dataset")
    with pytest.raises(InputError, match="--probe_per_class: must be at most the trusted"):
        inputs.check(dataset, DataSettings(**folder, probe_per_class=3))
    inputs.check(dataset, DataSettings(**folder, probe_per_class=2))


def test_more_folds_than_images(photos):
    settings = DataSettings(data=str(photos), probe_per_class=0)
    rule = "--audit_folds: must be at most the number of training images, 16; .* Received: 17"
    with pytest.raises(InputError, match=rule):
        inputs.check("image_folder", settings, "none", [TrainSettings(audit_folds=17)])
    inputs.check("image_folder", settings, "none", [TrainSettings(audit_folds=16)])


def test_views_larger_than_the_memory(tmp_path):
    settings = DataSettings(data=str(empty_files(tmp_path, 4_000)), probe_per_class=0)
    with pytest.raises(InputError, match="--image_size: makes a batch of 3200 take 1200 GiB and"):
        large = TrainSettings(image_size=4096, batch_size=9_999)
        inputs.check("image_folder", settings, "none", [TrainSettings(), large])


def empty_files(root, count):
    for number in range(count):
        file = root / "photos" / f"{number % 4}" / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return root / "photos"


def test_thousands_take_less_than_five_seconds_and_are_not_read(tmp_path):
    photos = empty_files(tmp_path, 2_000)
    started = time.monotonic()
    inputs.check("image_folder", DataSettings(data=str(photos), probe_per_class=0))
    assert time.monotonic() - started < 5


def test_the_hash_changes_with_the_images(photos):
    settings = DataSettings(data=str(photos), probe_per_class=0)
    first = inputs.check("image_folder", settings)
    assert inputs.check("image_folder", settings) == first
    file = next(photos.rglob("*.jpg"))
    file.write_bytes(file.read_bytes() + b"0")
    assert inputs.check("image_folder", settings) != first
