"""Which labels are wrong: the noise and the scores by hand, files, the loop of correcting."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from tests.conftest import HOSTILE
from trainer import calibration, config, detection, fit, label_audit, label_posterior, manifest
from trainer.config import DataConfig
from trainer.data import folds, probe, records
from trainer.errors import InputError

RNG = np.random.default_rng(0)


def simulated(N=4000, C=4, sharpness=2.0):
    """Predictions of a good network, and labels with asymmetric noise: P, given, true, T."""
    true = RNG.integers(C, size=N)
    z = RNG.normal(size=(N, C)) + sharpness * np.eye(C)[true]
    P = softmax(sharpness * z, axis=1)  # the true posterior of such z
    T = np.eye(C)
    T[0, 0], T[0, 1] = 0.6, 0.4
    T[2, 2], T[2, 3] = 0.7, 0.3
    given = np.array([RNG.choice(C, p=T[t]) for t in true])
    return P, given, true, T


def test_the_posterior_knows_the_noise():
    P, given, true, T = simulated()
    Q, found = label_posterior.posterior(P, given)
    np.testing.assert_allclose(Q.sum(1), 1)
    np.testing.assert_allclose(found.sum(1), 1)
    assert np.abs(found - T).mean() < 0.06
    rows, wrong = np.arange(len(given)), given != true
    by_image = detection.quality(1 - P[rows, given], wrong)
    by_both = detection.quality(1 - Q[rows, given], wrong)
    assert by_both["average_precision"] > by_image["average_precision"]


def test_calibration_finds_scale_biases_and_confusions():
    P, _, true, _ = simulated()
    confusion = np.eye(4) + 0.5 * np.eye(4)[[1, 0, 2, 3]]
    distorted = (P**3 * [1.0, 4.0, 0.5, 1.0]) @ confusion
    distorted /= distorted.sum(1, keepdims=True)
    fitted = calibration.dirichlet(distorted[:1000], true[:1000])(distorted)
    rest = np.arange(1000, len(true))
    loss = [-np.log(p[rest, true[rest]]).mean() for p in (P, distorted, fitted)]
    assert loss[0] < loss[2] < loss[1] - 0.1


def test_quality_by_hand():
    found = detection.quality(np.array([0.9, 0.8, 0.2, 0.1]), np.array([True, False, True, False]))
    assert found["auroc"] == 0.75
    assert found["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert detection.quality(np.zeros(3), np.zeros(3, bool)) == {}


def test_corrections_by_hand():
    given, clean = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 0])
    corrected, issue = np.array([0, 1, 0, 1]), np.array([False, True, True, False])
    assert detection.corrections(given, corrected, clean, issue) == {
        "f1": 0.5,
        "precision": 0.5,
        "recall": 0.5,
        "corrections_right": 0.5,
        "labels_right_before": 0.5,
        "labels_right": 0.5,
    }


@pytest.fixture(scope="module")
def data(digits, noisy_labels, probe_split):
    return digits, noisy_labels, probe_split


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """L2R on digits."""
    root = tmp_path_factory.mktemp("audited")
    settings = config.resolve("digits", method="l2r")
    fit.train(settings, *data, root / "checkpoints", root / "model")
    return root


@pytest.fixture(scope="module")
def audit(data, run):
    metrics = label_audit.audit(*data, [run / "checkpoints"], run / "label_audit")
    return run / "label_audit", metrics


def test_files_of_an_audit(audit, data):
    path, metrics = audit
    written = manifest.read(path, manifest.LABEL_AUDIT)
    assert {"prepared_dataset", "noisy_labels", "probe_split"} < set(written["parents"])
    rows = pd.read_csv(path / "label_issues.csv")
    assert list(rows) == list(label_audit.COLUMNS)
    assert (rows.score.diff().dropna() <= 1e-6).all()
    assert len(rows) == 1337
    parquet = pd.read_parquet(path / "label_issues.parquet")
    np.testing.assert_array_equal(parquet.id, rows.id)
    labels = np.load(data[1] / "labels.npy")
    np.testing.assert_array_equal(labels[rows.id], rows.given)
    assert rows.issue.sum() == written["num_issues"] == rows.issue[: rows.issue.sum()].sum()
    assert (rows.suggested != rows.given).all()
    corrected = np.load(path / "corrected_labels.npy")
    expected = np.where(rows.corrected, rows.suggested, rows.given)
    np.testing.assert_array_equal(corrected[rows.id], expected)
    probe_ids = np.load(data[2] / "probe_ids.npy")
    truth = records.read_clean_labels(data[0])
    np.testing.assert_array_equal(corrected[probe_ids], truth[probe_ids])
    assert not (path / "clean_manifest.csv").exists()  # digits are no files
    assert json.loads((path / "metrics.json").read_text()) == metrics


def test_wrong_digits_are_found(audit):
    _, metrics = audit
    assert metrics["audit/noise_rate"] == pytest.approx(0.81, abs=0.02)
    assert metrics["audit/auroc"] > 0.97
    assert metrics["audit/labels_right"] > metrics["audit/labels_right_before"] + 0.3


def test_folds_judge_what_they_have_not_seen(data, tmp_path):
    paths = []
    for fold in range(2):
        settings = config.resolve(
            "digits", method="supervised", max_iteration=30, audit_folds=2, audit_fold=fold
        )
        paths.append(tmp_path / str(fold) / "checkpoints")
        fit.train(settings, *data, paths[-1], tmp_path / str(fold) / "model")
    sizes = [manifest.read(path, "checkpoints")["num_examples"] for path in paths]
    assert sum(sizes) == 1337
    with pytest.raises(InputError, match="checkpoints: must be those of all folds"):
        label_audit.audit(*data, paths[:1], tmp_path / "a")
    assert not (tmp_path / "a").exists()
    metrics = label_audit.audit(*data, paths, tmp_path / "a")
    assert metrics["audit/auroc"] > 0.5
    _, train_ids, _ = probe.read(data[2], records.read_manifest(data[0]))
    of = folds.of(train_ids, settings)
    assert sizes == [int((of != 0).sum()), int((of != 1).sum())]


def table_of(path):
    return pd.read_csv(path / "clean_manifest.csv", dtype=str, keep_default_na=False)


def test_the_loop_closes(hostile_run, tmp_path):
    """The audit's table, and a reviewer's, are datasets to train on."""
    audit, data = hostile_run / "label_audit", hostile_run / "prepared_dataset"
    audited = pd.read_csv(audit / "label_issues.csv", dtype=str)
    classes = sorted(set(audited.given) | set(audited.suggested))
    assert classes == HOSTILE
    decisions = ["accept", "reject", *classes]
    audited["decision"] = decisions + [""] * (len(audited) - len(decisions))
    audited.sample(frac=1, random_state=0).to_csv(tmp_path / "reviewed.csv", index=False)
    label_audit.review(
        hostile_run / "label_audit",
        tmp_path / "reviewed.csv",
        hostile_run / "prepared_dataset",
        tmp_path / "review",
    )
    labels = table_of(tmp_path / "review").set_index("path").label
    expected = [audited.suggested[0], audited.given[1], *classes]
    assert list(labels[audited.path[:4]]) == expected
    untouched = table_of(audit).set_index("path").label
    assert (labels[audited.path[4:]] == untouched[audited.path[4:]]).all()

    table = tmp_path / "review" / "clean_manifest.csv"
    written = records.prepare("csv", tmp_path / "again", DataConfig(data=str(table)))
    assert written["num_examples"] == records.read_manifest(data)["num_examples"]
    assert list(written["class_names"]) == classes
    assert len(records.read_trusted_ids(tmp_path / "again")) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,decision\n0,yes\n", "decision must be accept, reject or one of the classes"),
        ("id,decision\n99999,accept\n", "must have ids of the audit"),
        ("id\n0\n", "must be a label_issues.csv with columns id and decision"),
        ("id,decision\nx,accept\n", "must be a label_issues.csv with columns id and decision"),
    ],
)
def test_wrong_reviews(audit, data, tmp_path, content, said):
    (tmp_path / "reviewed.csv").write_text(content)
    with pytest.raises(InputError, match=said):
        label_audit.review(audit[0], tmp_path / "reviewed.csv", data[0], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_calibration_keeps_some_of_the_probe(data):
    settings = config.resolve("digits", calibration_per_class=2)
    probe_ids, _, _ = probe.read(data[2], records.read_manifest(data[0]))
    training, held_out = probe.parts(probe_ids, settings, 10)
    labels = records.read_clean_labels(data[0])
    np.testing.assert_array_equal(np.bincount(labels[training]), [8] * 10)
    np.testing.assert_array_equal(np.bincount(labels[held_out]), [2] * 10)
    with pytest.raises(InputError, match="--calibration_per_class: must be at most the 10"):
        probe.parts(probe_ids, config.resolve("digits", calibration_per_class=11), 10)
