import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from trainer.data import records, views
from trainer.data.augmentation import augment, crops
from trainer.errors import InputError
from trainer.methods import IEG, Supervised
from trainer.settings.data import DataSettings
from trainer.training import configuration

SETTINGS = configuration.resolve("image_folder", backbone="none", image_size=0)
SIDE = 96


def ramp(height, width, blue=128):
    """Red rises with the row, green with the column, so a pixel shows its origin."""
    rows, columns = np.mgrid[:height, :width]
    channels = rows * 255 / height, columns * 255 / width, np.full((height, width), blue)
    return np.stack(channels, axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A prepared dataset of images of several sizes, JPEG and PNG."""
    root = tmp_path_factory.mktemp("photographs")
    for blue, name in ((60, "a"), (160, "b")):
        (root / "images" / name).mkdir(parents=True)
        for i, size in enumerate([(240, 320), (300, 200), (256, 256), (100, 90)] * 2):
            suffix = "png" if i % 3 == 0 else "jpg"
            Image.fromarray(ramp(*size, blue + 9 * i)).save(
                root / "images" / name / f"{i}.{suffix}", quality=95
            )
    records.prepare("image_folder", root / "prepared", DataSettings(data=root / "images"))
    return root / "prepared"


@pytest.fixture(scope="module")
def views_of_crops(photographs):
    return views.Crops(records.EncodedImages(photographs, "train"), SETTINGS, SIDE)


def test_small_images_are_seen_whole_and_large_ones_cropped(digits, photographs):
    digits, photographs = records.read_manifest(digits), records.read_manifest(photographs)
    assert views.input_shape(digits, SETTINGS) == (8, 8, 1)
    assert views.input_shape(photographs, SETTINGS) == (224, 224, 3)
    smaller = configuration.resolve("image_folder", backbone="none", image_size=SIDE)
    assert views.input_shape(photographs, smaller) == (SIDE, SIDE, 3)
    assert views.input_shape(digits, smaller) == (8, 8, 1)


def test_crops_are_parts_of_their_image_at_a_fair_aspect(views_of_crops):
    positions = tf.range(len(views_of_crops.images), dtype=tf.int64)
    shares = []
    for seed in range(20):
        (seen,) = views_of_crops.crops(positions, views_of_crops.draws([seed, 0], 12))
        seen = seen.numpy().astype(float)
        assert seen.shape == (12, SIDE, SIDE, 3)
        red = seen[:, -1, SIDE // 2, 0] - seen[:, 0, SIDE // 2, 0]
        green = seen[:, SIDE // 2, -1, 1] - seen[:, SIDE // 2, 0, 1]
        assert np.all(red > 0)  # not upside down
        shares += list(red / 255 * np.abs(green) / 255)
        assert {*np.sign(green)} == {-1, 1}  # some mirrored, some not
    assert 0.03 < min(shares) < 0.2
    assert 0.8 < max(shares) <= 1


def test_views_follow_from_the_seed(views_of_crops):
    positions = tf.constant([3, 1, 3], tf.int64)
    first, again, other = (views_of_crops.weak(positions, [seed, 1]).numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[0], first[2])
    assert np.abs(first).max() <= 1


def test_strong_views_are_made_of_the_first_images_only(photographs):
    settings = configuration.resolve("image_folder", backbone="none", aug_type="default")
    made = views.Crops(records.EncodedImages(photographs, "train"), settings, SIDE)
    positions, seeds = tf.range(8, dtype=tf.int64), ([0, 0], [0, 1])
    weak, strong = made.weak_and_strong(positions, *seeds, 8)
    weak_again, first = made.weak_and_strong(positions, *seeds, 3)
    assert np.mean(weak != weak_again) < 0.01  # as below
    assert np.mean(first != strong[:3]) < 0.01


@pytest.mark.parametrize("aug_type", views.CROPS)
def test_strong_views_of_crops(photographs, aug_type):
    settings = configuration.resolve("image_folder", backbone="none", aug_type=aug_type)
    made = views.Crops(records.EncodedImages(photographs, "train"), settings, SIDE)
    positions = tf.range(8, dtype=tf.int64)
    weak, strong = made.weak_and_strong(positions, [0, 0], [0, 1], len(positions))
    # Colours at the edge of what is decoded of a JPEG depend on how much it is.
    assert np.mean(weak != made.weak(positions, [0, 0])) < 0.01
    assert strong.shape == weak.shape
    assert np.abs(strong).max() <= 1
    assert np.mean(np.abs(strong - weak) > 0.02) > 0.3


def test_png_and_jpeg_are_cropped_alike(tmp_path):
    for blue, name in ((60, "a"), (160, "b")):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(5):
            image = Image.fromarray(ramp(120, 160, blue + 9 * i))
            image.save(tmp_path / "images" / name / f"{i}.png")
            image.save(tmp_path / "images" / name / f"{i}.jpg", quality=100)
    records.prepare("image_folder", tmp_path / "p", DataSettings(data=tmp_path / "images"))
    encoded = records.EncodedImages(tmp_path / "p", "train")
    files = encoded[encoded.ids]
    assert {file[:2] for file in files} == {b"\xff\xd8", b"\x89P"}
    seeds, mirrored = tf.tile([[[4, 2]]], [len(files), 1, 1]), tf.ones([len(files), 1], tf.bool)
    seen = crops.of_files(tf.constant(files), crops.random_window, 32, seeds, mirrored).numpy()
    assert np.abs(seen.astype(int) - seen[:1])[..., :2].max() <= 6


def test_a_test_sees_the_middle(photographs):
    settings = configuration.resolve("image_folder", backbone="none", image_size=SIDE)
    batches = list(views.test_batches(photographs, settings, 3).as_numpy_iterator())
    assert [len(batch["label"]) for batch in batches] == [3, 1]
    labels = np.concatenate([batch["label"] for batch in batches])
    np.testing.assert_array_equal(labels, records.read_labels(photographs, "test"))
    files = records.EncodedImages(photographs, "test")
    for seen, file in zip(batches[0]["image"], files[np.arange(3)]):
        image = tf.io.decode_image(file)
        H, W, _ = image.shape
        side = round(224 / 256 * min(H, W))
        middle = image[(H - side) // 2 :, (W - side) // 2 :][:side, :side]
        expected = tf.image.resize(middle, [SIDE, SIDE]).numpy() / 127.5 - 1
        assert np.abs(seen - expected).max() < 0.02


def test_a_test_of_small_images_shows_every_image_once_in_order(digits):
    settings = configuration.resolve("digits")
    batches = list(views.test_batches(digits, settings, 100).as_numpy_iterator())
    assert [len(batch["label"]) for batch in batches] == [100, 100, 100, 60]
    images = np.concatenate([batch["image"] for batch in batches])
    np.testing.assert_array_equal(images, augment.scale(records.read_images(digits, "test")))


def test_colour_policies_need_colour_and_randaugment_small_images(digits, photographs):
    digits, photographs = records.read_manifest(digits), records.read_manifest(photographs)
    coloured = configuration.resolve("digits", aug_type="autoaug")
    with pytest.raises(InputError, match=r"--aug_type: must be affine or default for"):
        views.check_augmentation(digits, coloured, IEG)
    views.check_augmentation(digits, coloured, Supervised)
    randaug = configuration.resolve("image_folder", backbone="none", aug_type="randaug")
    with pytest.raises(InputError, match="--aug_type: must be affine or default or autoaug for"):
        views.check_augmentation(photographs, randaug, IEG)
