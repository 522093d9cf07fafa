"""The exported model answers as the evaluation does, in a process that has none of our code."""

import csv
import io
import json
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy.special import softmax

from tests.image_files import write_images
from trainer import artifacts
from trainer.data import probe, records
from trainer.data.noise import injection
from trainer.data.sources import image_check
from trainer.errors import InputError
from trainer.evaluation import predictions
from trainer.networks import NETWORKS
from trainer.serving import export, predict
from trainer.settings.data import DataSettings
from trainer.training import configuration, fit

WITHOUT_US = """
import json, sys

class NoneOfOurs:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("trainer", "components", "pipelines"):
            raise ImportError(name)

sys.meta_path.insert(0, NoneOfOurs())
import numpy as np
"""
FRESH = """
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
served = model.signatures["serving_default"]
files = [open(name, "rb").read() for name in sys.argv[3:]]
found = served(image_bytes=tf.constant(files))
np.save(sys.argv[2], found["probabilities"].numpy())
print(json.dumps([name.decode() for name in found["class"].numpy()]))
"""
KERAS_ALONE = """
import keras
network = keras.saving.load_model(sys.argv[1])
np.save(sys.argv[2], network(np.load(sys.argv[3]), training=False))
print(network.losses)
"""


@pytest.fixture(scope="module")
def exported(supervised_run, digits, probe_split):
    path = supervised_run / "exported_model"
    export.export(digits, probe_split, supervised_run / "checkpoints", path)
    return path


def in_a_fresh_process(model, files, tmp_path):
    """Probabilities and classes."""
    said = without_us(FRESH, model / "saved_model", tmp_path / "p.npy", *files, cwd=tmp_path)
    return np.load(tmp_path / "p.npy"), json.loads(said)


def without_us(code, *arguments, cwd):
    """The output of a process that cannot import this package."""
    command = [sys.executable, "-c", WITHOUT_US + code, *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_files(dataset, folder, suffix):
    encoded = records.EncodedImages(dataset, "test")
    paths = [folder / f"{i}.{suffix}" for i in range(min(len(encoded), 20))]
    for path, content in zip(paths, encoded[np.arange(len(paths))], strict=True):
        path.write_bytes(content)
    return paths


def test_the_same_answer_as_in_evaluation(exported, supervised_run, digits, tmp_path):
    files = write_files(digits, tmp_path, "png")
    found, classes = in_a_fresh_process(exported, files, tmp_path)
    method, _ = fit.restore(supervised_run / "checkpoints")
    z = predictions.predict_logits(digits, method, "test")[: len(files)]
    written = artifacts.read(exported, artifacts.EXPORTED_MODEL)
    np.testing.assert_allclose(found, softmax(z / written["temperature"], axis=1), atol=1e-5)
    assert classes == [written["class_names"][i] for i in z.argmax(1)]


@pytest.mark.slow
def test_crops_of_photographs_of_any_size(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(256, size=(40 + i, 70 - i, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.jpg")
    data = tmp_path / "data", tmp_path / "noise", tmp_path / "probe"
    records.prepare("image_folder", data[0], DataSettings(data=str(tmp_path / "images")))
    injection.inject(data[0], data[1], "none", 0.0, 0)
    probe.split(data[0], data[2], 0, 0)
    settings = configuration.resolve(
        "image_folder",
        method="supervised",
        backbone="none",
        image_size=24,
        batch_size=4,
        max_iteration=4,
    )
    fit.train(settings, *data, tmp_path / "checkpoints", tmp_path / "model")
    export.export(data[0], data[2], tmp_path / "checkpoints", tmp_path / "exported")
    method, _ = fit.restore(tmp_path / "checkpoints")
    expected = softmax(predictions.predict_logits(data[0], method, "test"), axis=1)
    files = write_files(data[0], tmp_path, "jpg")
    found, _ = in_a_fresh_process(tmp_path / "exported", files, tmp_path)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    written = artifacts.read(tmp_path / "exported", artifacts.EXPORTED_MODEL)
    assert (written["temperature"], written["calibrated_on"]) == (1.0, 0)
    assert "Not calibrated" in (tmp_path / "exported" / "model_card.md").read_text()


@pytest.mark.slow
def test_images_of_other_sizes_and_modes(exported, tmp_path):
    paths = []
    for name, mode, size in (("large", "RGB", (31, 17)), ("alpha", "RGBA", (8, 8))):
        paths.append(tmp_path / f"{name}.png")
        Image.new(mode, size, "white").save(paths[-1])
    found, _ = in_a_fresh_process(exported, paths, tmp_path)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)  # both are white


def test_the_network_alone(exported, supervised_run):
    a, b = (
        keras.models.load_model(path).get_weights()
        for path in (exported / "model.keras", supervised_run / "model" / "model.keras")
    )
    assert all((x == y).all() for x, y in zip(a, b, strict=True))


@pytest.mark.slow
def test_keras_alone_loads_the_network(exported, supervised_run, tmp_path):
    images = np.random.default_rng(0).uniform(-1, 1, (9, 8, 8, 1)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    paths = exported / "model.keras", tmp_path / "z.npy", tmp_path / "images.npy"
    assert without_us(KERAS_ALONE, *paths, cwd=tmp_path) == "[]\n"
    method, _ = fit.restore(supervised_run / "checkpoints")
    expected = fit.averaged_network(method)(images, training=False)
    np.testing.assert_allclose(np.load(tmp_path / "z.npy"), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    "name",
    ["convnet", *(pytest.param(n, marks=pytest.mark.slow) for n in NETWORKS if n != "convnet")],
)
def test_each_network_answers_the_same_in_keras_alone(name):
    keras.utils.set_random_seed(0)
    network = NETWORKS[name].build((32, 32, 3), 5)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    network(images, training=True)  # moves the statistics
    copy = export.of_keras_alone(network)
    assert {type(layer).__module__.split(".")[0] for layer in copy.layers} == {"keras"}
    assert not copy.losses and network.losses
    expected = network(images, training=False)
    np.testing.assert_allclose(copy(images, training=False), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.slow
def test_the_graph_lays_transparent_images_on_white(exported, tmp_path):
    """Also with a palette; the hidden colour makes no difference."""
    alpha = np.tile(np.uint8([0, 255, 255, 90]), (8, 2))
    shown = Image.fromarray(np.where(alpha > 0, 40, 0).astype(np.uint8)).convert("RGB")
    hidden = Image.fromarray(np.where(alpha > 0, 40, 250).astype(np.uint8)).convert("RGB")
    white = Image.composite(shown, Image.new("RGB", (8, 8), "white"), Image.fromarray(alpha))
    images = {"seen": white}
    for name, image in (("shown", shown), ("hidden", hidden)):
        image.putalpha(Image.fromarray(alpha))
        images[name] = image
    palette = Image.fromarray(np.tile(np.uint8([0, 1]), (8, 4)), "P")
    palette.putpalette([9, 9, 9, 40, 40, 40])
    palette.save(tmp_path / "clear.png", transparency=0)
    palette.putpalette([255, 255, 255, 40, 40, 40])
    palette.save(tmp_path / "on white.png")
    for name, image in images.items():
        image.save(tmp_path / f"{name}.png")
    names = (*images, "clear", "on white")
    found, _ = in_a_fresh_process(exported, [tmp_path / f"{n}.png" for n in names], tmp_path)
    np.testing.assert_allclose(found[1:3], found[[0, 0]], atol=0.01)
    np.testing.assert_allclose(found[3], found[4], atol=1e-5)
    assert np.abs(found[0] - found[3]).max() > 0.01
    rows = image_check.fitted((tmp_path / "hidden.png").read_bytes())
    (tmp_path / "prepared.png").write_bytes(rows)
    both, _ = in_a_fresh_process(exported, [tmp_path / "prepared.png"], tmp_path)
    np.testing.assert_allclose(both[0], found[2], atol=0.01)


@pytest.mark.slow
def test_the_card_says_which_trusted_images_training_used(trained, digits, probe_split):
    said = {}
    for name, settings in {
        "no": {"method": "robust", "trusted_fraction": 0.0},
        "yes": {"method": "robust", "calibration_per_class": 3},
        "supervised": {"method": "supervised"},
    }.items():
        root = trained(**settings, max_iteration=2, eval_freq=2)
        export.export(digits, probe_split, root / "checkpoints", root / "exported")
        card = (root / "exported" / "model_card.md").read_text()
        (said[name],) = re.findall(r"\* (\d+ trusted images of each class.*)", card)
        assert "fitted on" in card
    assert said["no"] == "10 trusted images of each class, which training did not use."
    assert said["yes"] == "7 trusted images of each class, which training used as well."
    assert said["supervised"] == said["no"]


@pytest.mark.slow
def test_calibration_uses_what_training_has_not_seen(trained, digits, probe_split, tmp_path):
    counts = {}
    for name, settings in {
        "kept": {"method": "l2r", "calibration_per_class": 2},
        "none": {"method": "l2r"},
        "all": {"method": "supervised"},
    }.items():
        root = trained(**settings, max_iteration=20, eval_freq=20)
        written = export.export(digits, probe_split, root / "checkpoints", tmp_path / name)
        counts[name] = written["calibrated_on"]
        assert (written["temperature"] == 1) == (name == "none")
    assert counts == {"kept": 20, "none": 0, "all": 100}
    card = (tmp_path / "all" / "model_card.md").read_text()
    assert "fitted on 100 trusted images" in card


def test_predictions_as_table_and_as_json(exported, digits, tmp_path):
    files = [str(path) for path in write_files(digits, tmp_path, "png")[:3]]
    out = io.StringIO()
    predict.predict(exported, files, form="json", out=out)
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [row["file"] for row in rows] == files
    for row in rows:
        assert row["confidence"] == max(row["probabilities"].values())
        assert row["probabilities"][row["class"]] == row["confidence"]
    out = io.StringIO()
    predict.predict(exported, files, out=out)
    table = out.getvalue().splitlines()[2:]
    assert [line.split()[1] for line in table] == [row["class"] for row in rows]


def test_files_that_are_no_images(exported, digits, tmp_path, capsys):
    (good,) = write_files(digits, tmp_path, "png")[:1]
    (tmp_path / "x.png").write_text("no image")
    files = [str(tmp_path / "x.png"), str(good), str(tmp_path / "none.png")]
    out = io.StringIO()
    assert predict.predict(exported, files, form="csv", out=out) == 2
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert [row["file"] for row in rows] == files
    assert rows[0]["error"].startswith("cannot be decoded")
    assert rows[2]["error"].startswith("cannot be read")
    assert float(rows[1][f"p_{rows[1]['class']}"]) == pytest.approx(float(rows[1]["confidence"]))
    assert "error: 2 of 3 files cannot be read as images" in capsys.readouterr().err
    for form in ("json", "table"):
        out = io.StringIO()
        assert predict.predict(exported, files, form=form, out=out) == 2
        assert "cannot be decoded" in out.getvalue()
    with pytest.raises(InputError, match="arguments: must name image files"):
        predict.predict(exported, [])


def test_folders_are_searched_as_in_preparation(exported, tmp_path, capsys):
    write_images(tmp_path / "new", 2, size=(9, 9))
    (tmp_path / "new" / ".ipynb_checkpoints").mkdir()
    Image.new("L", (9, 9)).save(tmp_path / "new" / ".ipynb_checkpoints" / "a.png")
    (tmp_path / "new" / "notes.txt").write_text("no image")
    Image.new("L", (9, 9)).save(tmp_path / "new" / "no ending", "WEBP")
    out = io.StringIO()
    assert predict.predict(exported, [str(tmp_path / "new")], form="json", out=out) == 0
    names = [json.loads(line)["file"] for line in out.getvalue().splitlines()]
    assert len(names) == 5
    assert str(tmp_path / "new" / "no ending") in names
    assert "2 files in folders are left out" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="arguments: must name image files, or folders"):
        predict.predict(exported, [str(tmp_path / "empty")])


def test_a_table_has_a_line_for_each_file(exported, digits, tmp_path):
    files = [*write_files(digits, tmp_path, "png")[:1], tmp_path / "two\nlines.png"]
    files[0].rename(files[1])
    out = io.StringIO()
    assert predict.predict(exported, files[1:], out=out) == 0
    assert "two\\nlines.png" in out.getvalue().splitlines()[2]


def test_a_bad_file_ends_the_command_with_status_1(exported, digits, tmp_path):
    files = [*write_files(digits, tmp_path, "png")[:1], tmp_path / "none.png"]
    command = [sys.executable, "-m", "trainer", "--mode=predict", f"--model={exported}", "--csv"]
    done = subprocess.run([*command, *files], capture_output=True, text=True)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 3


@pytest.mark.slow
def test_the_graph_turns_photographs_as_people_see_them(exported, tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(6, 5, 3)).astype(np.uint8)
    image = Image.fromarray(pixels).resize((16, 24), Image.BICUBIC)
    paths = []
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x010F], exif[0x0112] = "a maker", orientation
        exif.endian = "<>"[orientation % 2]
        paths += [tmp_path / f"turned {orientation}.jpg", tmp_path / f"seen {orientation}.png"]
        image.save(paths[-2], exif=exif, quality=95)
        with Image.open(paths[-2]) as turned:
            ImageOps.exif_transpose(turned).save(paths[-1])
    found, _ = in_a_fresh_process(exported, paths, tmp_path)
    np.testing.assert_allclose(found[::2], found[1::2], atol=0.02)
    assert np.ptp(found[::2], axis=0).max() > 0.05
