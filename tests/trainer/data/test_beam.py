"""Beam's local runner on real files."""

import numpy as np
import pytest
from PIL import Image

from trainer.data import records
from trainer.errors import InputError
from trainer.settings.data import DataSettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """40 images of two classes, and one that is none."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for i in range(40):
        file = root / f"class {i % 2}" / f"{i}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(256, size=(12, 12, 3)).astype(np.uint8)).save(file)
    (root / "class 1" / "text.png").write_text("no image")
    return root


@pytest.mark.parametrize("shared", [False, True])
def test_beam_writes_what_one_machine_writes(folder, tmp_path, shared):
    options = f"temp_location={tmp_path}/shared" if shared else ""
    by_beam = DataSettings(
        data=folder, bad_images="skip", beam_runner="DirectRunner", beam_options=options
    )
    written = records.prepare("image_folder", tmp_path / "a", by_beam)
    expected = records.prepare(
        "image_folder", tmp_path / "b", DataSettings(data=folder, bad_images="skip")
    )
    assert {**written, "files": None} == {**expected, "files": None}
    assert (tmp_path / "a" / "left_out.csv").read_text().count("text.png,cannot be decoded") == 1
    for split, count in (("train", 32), ("test", 8)):
        a, b = (
            records.EncodedImages(tmp_path / path, split)[np.arange(count)] for path in ("a", "b")
        )
        np.testing.assert_array_equal(a, b)
    assert not list(tmp_path.glob("shared/*"))
    assert not [path for path in (tmp_path / "a").iterdir() if path.is_dir()]


def test_bad_images_end_it_before_anything_is_written(folder, tmp_path):
    settings = DataSettings(data=folder, beam_runner="DirectRunner")
    with pytest.raises(InputError, match="image: cannot be decoded"):
        records.prepare("image_folder", tmp_path / "a", settings)
    assert not (tmp_path / "a").exists()


def test_a_runner_that_is_none(folder, tmp_path):
    settings = DataSettings(data=folder, beam_runner="NoRunner")
    with pytest.raises(InputError, match="--beam_runner: must be a runner of Beam"):
        records.prepare("image_folder", tmp_path / "a", settings)
