"""The exported model answers as the evaluation does, in a process that has none of our code."""

import io
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from tests.trainer.data.sources.test_files import write_images
from trainer import config, export, fit, manifest, predict, predictions
from trainer.config import DataConfig
from trainer.data import noise, probe, records
from trainer.errors import InputError

FRESH = """
import json, sys

class NoneOfOurs:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("trainer", "components", "pipelines"):
            raise ImportError(name)

sys.meta_path.insert(0, NoneOfOurs())
import numpy as np
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
served = model.signatures["serving_default"]
files = [open(name, "rb").read() for name in sys.argv[3:]]
found = served(image_bytes=tf.constant(files))
np.save(sys.argv[2], found["probabilities"].numpy())
print(json.dumps([name.decode() for name in found["class"].numpy()]))
"""


@pytest.fixture(scope="module")
def exported(supervised_run, digits, probe_split):
    path = supervised_run / "exported_model"
    export.export(digits, probe_split, supervised_run / "checkpoints", path)
    return path


def in_a_fresh_process(model, files, tmp_path):
    """Probabilities and classes."""
    command = [sys.executable, "-c", FRESH, model / "saved_model", tmp_path / "p.npy", *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return np.load(tmp_path / "p.npy"), json.loads(done.stdout)


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
    z = predictions.logits(digits, method, "test")[: len(files)]
    written = manifest.read(exported, manifest.EXPORTED_MODEL)
    np.testing.assert_allclose(found, softmax(z / written["temperature"], axis=1), atol=1e-5)
    assert classes == [written["class_names"][i] for i in z.argmax(1)]


def test_crops_of_photographs_of_any_size(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(256, size=(40 + i, 70 - i, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.jpg")
    data = tmp_path / "data", tmp_path / "noise", tmp_path / "probe"
    records.prepare("image_folder", data[0], DataConfig(data=str(tmp_path / "images")))
    noise.inject(data[0], data[1], "none", 0.0, 0)
    probe.split(data[0], data[2], 0, 0)
    settings = config.resolve(
        "image_folder",
        method="supervised",
        network_name="convnet",
        image_size=24,
        batch_size=4,
        max_iteration=4,
    )
    fit.train(settings, *data, tmp_path / "checkpoints", tmp_path / "model")
    export.export(data[0], data[2], tmp_path / "checkpoints", tmp_path / "exported")
    method, _ = fit.restore(tmp_path / "checkpoints")
    expected = softmax(predictions.logits(data[0], method, "test"), axis=1)
    files = write_files(data[0], tmp_path, "jpg")
    found, _ = in_a_fresh_process(tmp_path / "exported", files, tmp_path)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    written = manifest.read(tmp_path / "exported", manifest.EXPORTED_MODEL)
    assert (written["temperature"], written["calibrated_on"]) == (1.0, 0)
    assert "Not calibrated" in (tmp_path / "exported" / "model_card.md").read_text()


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
    predict.predict(exported, files, as_json=True, out=out)
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [row["file"] for row in rows] == files
    for row in rows:
        assert row["confidence"] == max(row["probabilities"].values())
        assert row["probabilities"][row["class"]] == row["confidence"]
    out = io.StringIO()
    predict.predict(exported, files, out=out)
    table = out.getvalue().splitlines()[2:]
    assert [line.split()[1] for line in table] == [row["class"] for row in rows]


def test_files_that_are_no_images(exported, tmp_path):
    write_images(tmp_path / "images", 1)
    (tmp_path / "x.png").write_text("no image")
    for name in ("x.png", "none.png"):
        with pytest.raises(
            InputError, match="image: must be a JPEG or PNG file; it cannot be decoded"
        ):
            predict.predict(exported, [str(tmp_path / name)])
    with pytest.raises(InputError, match="arguments: must name image files"):
        predict.predict(exported, [])
