"""Images of published sets become upright as their EXIF says; all others do not change."""

import csv
import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.webvision_files import jpeg, write_tfds
from trainer.data import records
from trainer.data.sources import turned
from trainer.errors import InputError
from trainer.settings.data import DataSettings


def sideways(rng, height):
    """A JPEG file, of every second height with EXIF orientation 6."""
    content = jpeg(rng, height)
    if height % 2:
        return content
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.open(io.BytesIO(content)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def test_a_set_of_tfds(tmp_path):
    splits = {"train": [0, 1, 0, 1], "test": [0, 1]}
    write_tfds(tmp_path, "photographs", ("a", "b"), splits, sideways)
    settings = DataSettings(tfds_data_dir=str(tmp_path / "tensorflow_datasets"))
    written = records.prepare("tfds:photographs", tmp_path / "out", settings)
    assert written["conversions"] == {"JPEG of EXIF orientation": 3}
    rng = np.random.default_rng(0)
    for split in splits:
        encoded = records.EncodedImages(tmp_path / "out", split)
        for number, stored in enumerate(encoded[np.arange(len(encoded))]):
            content = sideways(rng, 60 + number)
            seen = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
            np.testing.assert_array_equal(Image.open(io.BytesIO(stored)), seen)
            assert (stored == content) == bool(number % 2)
    with open(tmp_path / "out" / "converted.csv") as file:
        rows = list(csv.DictReader(file))
    assert rows[1] == {
        "path": "photographs, train, example 2",
        "from": "JPEG of EXIF orientation 6",
    }


def test_an_image_that_cannot_be_made_upright_is_named():
    half = sideways(np.random.default_rng(0), 60)[:900]
    with pytest.raises(InputError, match=r"image: cannot be decoded .* Received: 'set, example 0'"):
        list(turned.upright([(half, 0)], "set", []))
