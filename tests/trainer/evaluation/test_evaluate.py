import json

import keras
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from trainer import artifacts
from trainer.data import records
from trainer.data.augmentation import augment
from trainer.errors import InputError
from trainer.evaluation import evaluate


def test_accuracies_are_those_of_the_saved_model(supervised_run, digits):
    """Counted by hand, from the model file and the plain images."""
    metrics = json.loads((supervised_run / "metrics" / "metrics.json").read_text())
    network = keras.models.load_model(supervised_run / "model" / "model.keras")
    logits = network.predict(augment.scale(records.read_images(digits, "test")), verbose=0)
    labels = records.read_labels(digits, "test")
    assert metrics["test/top1"] == pytest.approx(np.mean(logits.argmax(1) == labels))
    in_top5 = (np.argsort(-logits, axis=1)[:, :5] == labels[:, np.newaxis]).any(1)
    assert metrics["test/top5"] == pytest.approx(np.mean(in_top5))
    confusion = np.load(supervised_run / "metrics" / "confusion.npy")
    np.testing.assert_array_equal(confusion, confusion_matrix(labels, logits.argmax(1)))


def test_metrics_contain_the_facts_of_the_run(supervised_run):
    metrics = json.loads((supervised_run / "metrics" / "metrics.json").read_text())
    assert (metrics["method"], metrics["dataset"]) == ("supervised", "digits")
    assert (metrics["noise"], metrics["noise_ratio"]) == ("uniform", 0.9)
    assert (metrics["seed"], metrics["probe_per_class"]) == (0, 10)
    assert metrics["wrong_labels"] == pytest.approx(0.81, abs=0.02)
    assert metrics["seconds"] > 0
    assert set(artifacts.read(supervised_run / "metrics", "metrics")["parents"]) == {
        "prepared_dataset",
        "checkpoints",
    }


def test_an_unfinished_run_is_refused(supervised_run, digits, tmp_path):
    with pytest.raises(InputError, match=r"checkpoints: .*does not exist"):
        evaluate.evaluate(digits, tmp_path / "none", tmp_path / "metrics")
    with pytest.raises(InputError, match="must be of kind checkpoints"):
        evaluate.evaluate(digits, supervised_run / "model", tmp_path / "metrics")
    with pytest.raises(InputError, match="prepared_dataset"):
        evaluate.evaluate(tmp_path, supervised_run / "checkpoints", tmp_path / "metrics")
    assert not (tmp_path / "metrics").exists()
