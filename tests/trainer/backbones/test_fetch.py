import pickle
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from trainer import backbones
from trainer.backbones import efficientnet_lite0, fetch, keras_files, torch_file
from trainer.errors import InputError

SIDE = 64
# Of the disc, at the places of some large values.
GOLDEN_PLACES = [71, 655, 897, 1157, 1167]
GOLDEN_VALUES = [6.0, 5.9198, 5.1432, 6.0, 5.4903]
GOLDEN_MEAN = 0.47805


@pytest.fixture(scope="module")
def lite0():
    return efficientnet_lite0.load(SIDE)


def drawn():
    """A red disc on a gradient, float32 (1, S, S, 3), 0..255."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    image = np.stack([rows, columns, (rows + columns) / 2], axis=-1) * 4
    image[(rows - 30) ** 2 + (columns - 34) ** 2 < 300] = (220, 30, 20)
    return np.clip(image, 0, 255)[np.newaxis]


def save(path, outputs=None, shape=(SIDE, SIDE, 3)):
    """A network of one's own; `outputs` maps its input to its output."""
    images = keras.Input(shape)
    x = images / 255.0
    x = outputs(x) if outputs else keras.layers.GlobalAveragePooling2D()(x)
    keras.Model(images, x).save(path)
    return str(path)


def save_with_names(path):
    """A network of a dictionary to a dictionary."""
    images = keras.Input((SIDE, SIDE, 3), name="images")
    vectors = keras.layers.GlobalAveragePooling2D()(images)
    keras.Model({"images": images}, {"vectors": vectors}).save(path)


def test_lite0_has_the_published_weights(lite0):
    assert lite0.network.count_params() == 3_413_024
    embedding = lite0.network.predict_on_batch(drawn())[0]
    assert embedding.shape == (3808,)
    whole, smaller = np.split(embedding, 2)
    last = whole[-1280:]
    np.testing.assert_allclose(last[GOLDEN_PLACES], GOLDEN_VALUES, rtol=1e-3, atol=1e-4)
    assert last.mean() == pytest.approx(GOLDEN_MEAN, rel=1e-3)
    side = round(efficientnet_lite0.SMALLER * SIDE)
    copy = keras.layers.Resizing(side, side)(drawn())
    alone = efficientnet_lite0.load(side).network.predict_on_batch(np.asarray(copy))[0]
    np.testing.assert_allclose(smaller, alone[:1904], rtol=1e-3, atol=1e-4)


def test_all_tensors_of_the_file_are_read():
    tensors = torch_file.read(efficientnet_lite0.weights_file())
    assert len(tensors) == 296
    assert tensors["_fc.weight"].shape == (1000, 1280)
    assert tensors["_bn1.num_batches_tracked"].dtype == np.int64


def test_other_weights_than_the_published_ones_are_refused(monkeypatch):
    module = sys.modules[efficientnet_lite0.load.__module__]  # not its lazy stand-in
    monkeypatch.setattr(module, "SHA256", "0" * 64)
    with pytest.raises(InputError, match="must have the weights of SHA-256 000000000000"):
        efficientnet_lite0.weights_file()


class Evil:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    "content",
    [b"", b"no pickle", pickle.dumps(1), pickle.dumps(Evil()), pickle.dumps(torch_file.MAGIC)],
)
def test_a_file_that_holds_no_weights_is_refused_and_nothing_in_it_runs(content, tmp_path, capsys):
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"must be weights in PyTorch's format before 1.6"):
        torch_file.read(tmp_path / "weights.pth")
    assert capsys.readouterr().out == ""


def test_a_truncated_file_is_refused(tmp_path):
    whole = efficientnet_lite0.weights_file().read_bytes()
    (tmp_path / "weights.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="must be weights"):
        torch_file.read(tmp_path / "weights.pth")


def test_the_artifact_is_the_network(lite0, tmp_path):
    written = fetch.fetch("efficientnet_lite0", tmp_path / "a", side=SIDE)
    assert (written["image_side"], written["embedding_size"]) == (SIDE, 3808)
    assert (written["licence"], written["sha256"]) == ("Apache-2.0", efficientnet_lite0.SHA256)
    again = fetch.fetch("efficientnet_lite0", tmp_path / "b", side=SIDE)
    assert again["id"] == written["id"]
    expected = lite0.network.predict_on_batch(drawn())
    np.testing.assert_array_equal(
        fetch.read_network(tmp_path / "a").predict_on_batch(drawn()), expected
    )
    file = tmp_path / "a" / fetch.FILE
    since = file.stat().st_mtime_ns
    fetch.fetch("efficientnet_lite0", tmp_path / "a", side=SIDE)
    assert file.stat().st_mtime_ns == since
    other = fetch.fetch("efficientnet_lite0", tmp_path / "a", side=32)
    assert other["image_side"] == 32
    assert other["id"] != written["id"]


@pytest.mark.parametrize("name", ["MobileNetV3Small", "ResNet50V2"])
@pytest.mark.slow
def test_a_network_of_keras_applications_from_a_file(name, tmp_path):
    """Its preprocessing is inside."""
    make = getattr(keras.applications, name)
    module = keras_files.functions_of(name)[0]
    keras.utils.set_random_seed(0)
    options = {"include_top": False, "pooling": "avg", "input_shape": (SIDE, SIDE, 3)}
    original = make(weights=None, **options)
    original.save_weights(tmp_path / "own.weights.h5")
    written = fetch.fetch(
        f"keras:{name}", tmp_path / "a", weights=str(tmp_path / "own.weights.h5"), side=SIDE
    )
    assert written["source"] == f"keras.applications.{name}, weights of own.weights.h5"
    network = fetch.read_network(tmp_path / "a")
    expected = original.predict_on_batch(module(drawn().copy()))
    np.testing.assert_allclose(network.predict_on_batch(drawn()), expected, rtol=1e-4, atol=1e-5)


def test_weights_that_do_not_fit_are_refused(tmp_path, recwarn):
    (tmp_path / "a.h5").write_bytes(b"no weights")
    other = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3))
    other.save_weights(tmp_path / "other.weights.h5")
    recwarn.clear()
    for file in (str(tmp_path / name) for name in ("a.h5", "b.h5", "other.weights.h5")):
        with pytest.raises(InputError, match="--backbone_weights: must be") as raised:
            fetch.fetch("keras:MobileNetV3Small", tmp_path / "out", weights=file, side=SIDE)
        assert "\n" not in str(raised.value)
    assert not [each for each in recwarn if "freshly-initialized" in str(each.message)]
    assert not (tmp_path / "out").exists()


def test_a_download_that_fails_says_how_to_bring_the_weights(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise Exception("URL fetch failure on ADDRESS: None -- no route to host\nmore")

    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", fail)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    with pytest.raises(InputError, match=r"cannot be downloaded .*--backbone_weights=FILE.h5"):
        fetch.fetch("keras:MobileNetV3Small", tmp_path / "out", side=SIDE)
    assert not (tmp_path / "out").exists()


def test_a_network_of_ones_own(tmp_path):
    file = save(tmp_path / "own.keras")
    written = fetch.fetch(file, tmp_path / "out")
    assert (written["image_side"], written["embedding_size"]) == (SIDE, 3)
    embedding = fetch.read_network(tmp_path / "out").predict_on_batch(drawn())
    np.testing.assert_allclose(embedding, drawn().mean(axis=(1, 2)) / 255, rtol=1e-4)
    with pytest.raises(InputError, match="--backbone_image_size: must be 0 or the side"):
        fetch.fetch(file, tmp_path / "out", side=32)
    assert fetch.read(tmp_path / "out")["id"] == written["id"]
    of_any_size = save(tmp_path / "any.keras", shape=(None, None, 3))
    assert fetch.fetch(of_any_size, tmp_path / "any", side=32)["image_side"] == 32


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda path: save(path, lambda x: x), "must give a vector"),
        (lambda path: save(path, shape=(SIDE, SIDE, 1)), "must take images"),
        (
            lambda path: save(path, lambda x: keras.layers.Flatten()(x), (8, 4, 3)),
            "must take square",
        ),
        (
            lambda path: save(
                path, lambda x: keras.ops.log(keras.layers.GlobalAveragePooling2D()(-x - 1))
            ),
            "must give finite",
        ),
        (
            lambda path: save(path, lambda x: keras.layers.GlobalAveragePooling2D()(x) * 1e6),
            "must give finite numbers below 65,504",
        ),
        (save_with_names, "must take images .* and nothing else"),
        (lambda path: path.write_bytes(b"no network"), "must be a .keras file"),
        (
            lambda path: path.write_bytes(Path(save(path)).read_bytes()[:-100]),
            "must be a .keras file as model.save writes it, a whole zip",
        ),
        (lambda path: None, "must be a file that is there"),
    ],
)
def test_what_is_no_backbone_is_refused(make, rule, tmp_path):
    make(tmp_path / "own.keras")
    with pytest.raises(InputError, match=f"--backbone: {rule}") as raised:
        fetch.fetch(str(tmp_path / "own.keras"), tmp_path / "out")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["keras:", "keras:NoSuchNet", "resnet", "keras:resnet"])
def test_an_unknown_name_is_refused(name, tmp_path):
    with pytest.raises(InputError, match="--backbone: must "):
        fetch.fetch(name, tmp_path / "out")


def test_weights_are_for_keras_applications_only():
    with pytest.raises(InputError, match="--backbone_weights: is for --backbone=keras:<Name>"):
        backbones.check("efficientnet_lite0", "a.h5")


def test_a_directory_without_a_backbone_is_refused(tmp_path):
    with pytest.raises(InputError, match="backbone: must hold a manifest"):
        fetch.read(tmp_path)
