import json

import numpy as np
import pytest
import tensorflow as tf

from trainer.methods import collapse
from trainer.training import configuration, fit

NAMES = ("cat", "dog", "frog")


def warning(mean_prediction, confusion):
    confusion = np.array(confusion)
    found = collapse.scalars(mean_prediction, confusion)
    return collapse.warning(found, confusion, NAMES, "a smaller step may help")


def test_mean_prediction_is_that_over_all_images():
    metric = collapse.MeanPrediction(3)
    p = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])
    metric.update_state(tf.constant(np.log(p[:2]), tf.float32))
    metric.update_state(tf.constant(np.log(p[2:]) + 3, tf.float32))
    np.testing.assert_allclose(metric.result(), p.mean(axis=0), rtol=1e-6)
    metric.reset_state()
    metric.update_state(tf.constant(np.log(p[2:]), tf.float32))
    np.testing.assert_allclose(metric.result(), p[2], rtol=1e-6)


def test_scalars_by_hand():
    confusion = np.array([[8, 1, 1], [5, 5, 0], [0, 0, 10]])
    found = collapse.scalars([0.5, 0.25, 0.25], confusion)
    assert found["prediction_entropy"] == pytest.approx(1.5 * np.log(2))
    assert found["largest_predicted_share"] == pytest.approx(13 / 30)


def test_only_a_collapse_is_warned_of():
    even = [1 / 3] * 3
    assert warning(even, 10 * np.eye(3, dtype=int)) == ""
    assert warning(even, [[10, 0, 0], [6, 4, 0], [3, 0, 7]]) == ""  # 63% for cat, of 33%
    said = warning(even, [[10, 0, 0], [9, 1, 0], [9, 0, 1]])
    assert said.startswith("93% of the test images are predicted as cat") and said.endswith(
        "may help"
    )
    assert "0.39 of 1.10 nats" in warning([0.9, 0.05, 0.05], 10 * np.eye(3, dtype=int))


def test_a_rare_class_is_no_collapse():
    confusion = np.diag([980, 15, 5])
    assert warning(confusion.diagonal() / 1000, confusion) == ""


def test_a_run_that_collapses_onto_one_class_warns_once(
    digits, noisy_labels, probe_split, tmp_path, capsys
):
    settings = {"method": "supervised", "learning_rate": 20.0, "max_iteration": 8, "eval_freq": 2}
    settings = configuration.resolve("digits", **settings)
    paths = tmp_path / "checkpoints", tmp_path / "model"
    fit.train(settings, digits, noisy_labels, probe_split, *paths)
    said = [line for line in capsys.readouterr().err.splitlines() if "test images" in line]
    assert len(said) == 1 and "warning: step 2: " in said[0]
    for row in json.loads((paths[0] / "history.json").read_text()):
        assert row["test/largest_predicted_share"] > 0.55
        assert 0 <= row["test/prediction_entropy"] <= np.log(10)
