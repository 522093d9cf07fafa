"""Which labels are wrong: the noise and the scores by hand, files, the loop of correcting."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import softmax
from sklearn.metrics.pairwise import rbf_kernel

from tests.conftest import HOSTILE
from trainer import artifacts
from trainer.audit import label_issues, leave_one_out, noise_estimation, out_of_sample
from trainer.audit.evidence import Evidence, coefficient_captions, contradictions
from trainer.audit.leave_one_out import OTHER_EXAMPLES
from trainer.audit.run_predictions import THE_RUN
from trainer.data import folds, probe, records
from trainer.data.noise import injection
from trainer.errors import InputError
from trainer.evaluation import calibration, detection
from trainer.report import training_charts
from trainer.settings.data import DataSettings
from trainer.training import configuration, fit


def simulated(rng, N=4000, C=4, sharpness=2.0):
    """Predictions of a good network, and labels with asymmetric noise: P, given, true, T."""
    true = rng.integers(C, size=N)
    z = rng.normal(size=(N, C)) + sharpness * np.eye(C)[true]
    P = softmax(sharpness * z, axis=1)  # the true posterior of such z
    T = np.eye(C)
    T[0, 0], T[0, 1] = 0.6, 0.4
    T[2, 2], T[2, 3] = 0.7, 0.3
    given = np.array([rng.choice(C, p=T[t]) for t in true])
    return P, given, true, T


def test_the_posterior_uses_the_transition_matrix(rng):
    P, given, true, T = simulated(rng)
    Q, found = noise_estimation.true_label_posterior(P, given)
    np.testing.assert_allclose(Q.sum(1), 1)
    np.testing.assert_allclose(found.sum(1), 1)
    assert np.abs(found - T).mean() < 0.06
    rows, wrong = np.arange(len(given)), given != true
    by_image = detection.ranking_quality(1 - P[rows, given], wrong)
    by_both = detection.ranking_quality(1 - Q[rows, given], wrong)
    assert by_both["average_precision"] > by_image["average_precision"]


def test_calibration_finds_scale_biases_and_confusions(rng):
    P, _, true, _ = simulated(rng)
    confusion = np.eye(4) + 0.5 * np.eye(4)[[1, 0, 2, 3]]
    distorted = (P**3 * [1.0, 4.0, 0.5, 1.0]) @ confusion
    distorted /= distorted.sum(1, keepdims=True)
    fitted = calibration.fit_dirichlet(distorted[:1000], true[:1000])(distorted)
    rest = np.arange(1000, len(true))
    loss = [-np.log(p[rest, true[rest]]).mean() for p in (P, distorted, fitted)]
    assert loss[0] < loss[2] < loss[1] - 0.1


@pytest.mark.parametrize("rate", [0.05, 0.4])
def test_a_temperature_found_with_the_noise(rate, rng):
    P, _, true, _ = simulated(rng)
    others = (true + rng.integers(1, 4, size=len(true))) % 4
    given = np.where(rng.random(len(true)) < rate, others, true)
    none = np.zeros(len(true), bool)
    t, found = calibration.fit_temperature_under_noise(3 * np.log(P), given, none)
    assert t == pytest.approx(3, rel=0.15)
    assert found == pytest.approx(rate, abs=0.04)
    few = np.arange(len(true)) < 400
    t, found = calibration.fit_temperature_under_noise(
        3 * np.log(P), np.where(few, true, given), few
    )
    assert t == pytest.approx(3, rel=0.15)
    assert found == pytest.approx(rate, abs=0.04)


def test_quality_by_hand():
    found = detection.ranking_quality(
        np.array([0.9, 0.8, 0.2, 0.1]), np.array([True, False, True, False])
    )
    assert found["auroc"] == 0.75
    assert found["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert detection.ranking_quality(np.zeros(3), np.zeros(3, bool)) == {}


def test_corrections_by_hand():
    given, clean = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 0])
    corrected, issue = np.array([0, 1, 0, 1]), np.array([False, True, True, False])
    assert detection.correction_quality(given, corrected, clean, issue) == {
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
    settings = configuration.resolve("digits", method="l2r")
    fit.train(settings, *data, root / "checkpoints", root / "model")
    return root


@pytest.fixture(scope="module")
def audit(data, run):
    metrics = label_issues.audit(*data, [run / "checkpoints"], run / "label_audit")
    return run / "label_audit", metrics


def test_files_of_an_audit(audit, data):
    path, metrics = audit
    written = artifacts.read(path, artifacts.LABEL_AUDIT)
    rows = pd.read_csv(path / "label_issues.csv")
    assert list(rows.run.unique()) == [written["audit"]]
    assert list(rows.dataset.unique()) == [written["parents"]["prepared_dataset"]]
    assert {"prepared_dataset", "noisy_labels", "probe_split"} < set(written["parents"])
    assert list(rows) == label_issues.columns(["weight"])
    assert (rows.label_score.diff().dropna() >= -1e-6).all()
    assert len(rows) == 1337
    parquet = pd.read_parquet(path / "label_issues.parquet")
    np.testing.assert_array_equal(parquet.id, rows.id)
    labels = np.load(data[1] / "labels.npy")
    np.testing.assert_array_equal(labels[rows.id], rows.given_label)
    count = rows.is_label_issue.sum()
    assert count == written["num_issues"] == rows.is_label_issue[:count].sum()
    assert (rows.suggested_label != rows.given_label).all()
    corrected = np.load(path / "corrected_labels.npy")
    expected = np.where(rows.corrected, rows.suggested_label, rows.given_label)
    np.testing.assert_array_equal(corrected[rows.id], expected)
    probe_ids = np.load(data[2] / "probe_ids.npy")
    truth = records.read_clean_labels(data[0])
    np.testing.assert_array_equal(corrected[probe_ids], truth[probe_ids])
    assert not (path / "clean_manifest.csv").exists()  # digits are no files
    assert json.loads((path / "metrics.json").read_text()) == metrics


def test_wrong_digits_are_found(audit):
    _, metrics = audit
    assert metrics["audit/noise_rate"] == pytest.approx(0.81, abs=0.02)
    rate = metrics["audit/noise_rate_estimated"]
    assert metrics["audit/noise_rate_low"] <= rate <= metrics["audit/noise_rate_high"]
    assert metrics["audit/auroc"] > 0.97
    assert metrics["audit/labels_right"] > metrics["audit/labels_right_before"] + 0.3


@pytest.mark.slow
def test_folds_predict_what_they_have_not_seen(data, tmp_path):
    paths = []
    for fold in range(2):
        settings = configuration.resolve(
            "digits", method="supervised", max_iteration=30, audit_folds=2, audit_fold=fold
        )
        paths.append(tmp_path / str(fold) / "checkpoints")
        fit.train(settings, *data, paths[-1], tmp_path / str(fold) / "model")
    sizes = [artifacts.read(path, "checkpoints")["num_examples"] for path in paths]
    assert sum(sizes) == 1337
    with pytest.raises(InputError, match="checkpoints: must be the runs of all folds"):
        label_issues.audit(*data, paths[:1], tmp_path / "a")
    assert not (tmp_path / "a").exists()
    metrics = label_issues.audit(*data, paths, tmp_path / "a")
    assert metrics["audit/auroc"] > 0.5
    _, train_ids, _ = probe.read_split(data[2], records.read_manifest(data[0]))
    fold = folds.fold_of(train_ids, settings)
    assert sizes == [int((fold != 0).sum()), int((fold != 1).sum())]


def test_corrected_labels_are_a_dataset(hostile_run, tmp_path):
    """The audit's table is one to train on."""
    audit, data = hostile_run / "label_audit", hostile_run / "prepared_dataset"
    table = audit / "clean_manifest.csv"
    written = records.prepare("csv", tmp_path / "again", DataSettings(data=str(table)))
    assert written["num_examples"] == records.read_manifest(data)["num_examples"]
    assert list(written["class_names"]) == HOSTILE
    assert len(records.read_trusted_ids(tmp_path / "again")) == 4


def drawings(root, counts, wrong, seed=0):
    """Discs and squares as <given>/<true><i>.png, `counts` by true class; so many wrong of each."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[:24, :24]
    for c, (name, count) in enumerate(counts.items()):
        others = [other for other in counts if other != name]
        for i in range(count):
            x, y = rng.integers(9, 16, size=2)
            far = np.hypot(down - y, across - x) if c else np.fmax(abs(down - y), abs(across - x))
            pixels = rng.integers(90, 150, size=(24, 24, 3))
            pixels[far < 6] = rng.integers(-30, 30, size=3) + np.roll([190, 70, 70], c)
            given = others[0] if i < wrong.get(name, 0) else name
            (root / given).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(root / given / f"{name}{i}.png")
    return root


@pytest.fixture(scope="module")
def rare(tmp_path_factory):
    """150 good and 15 defect parts, 10 labels wrong, and ten trusted images of each class."""
    root = tmp_path_factory.mktemp("rare")
    photos = drawings(root / "photos", {"good": 150, "defect": 15}, {"good": 9, "defect": 1})
    trusted = drawings(root / "checked", {"good": 10, "defect": 10}, {}, seed=1)
    paths = [root / name for name in ("prepared_dataset", "noisy_labels", "probe_split")]
    records.prepare("image_folder", paths[0], DataSettings(data=str(photos), trusted=str(trusted)))
    injection.inject(*paths[:2], "none", 0.0, 0)
    probe.split(paths[0], paths[2], 10, 0)
    return root, paths


def wrong_of(rows):
    """Which rows of label_issues.csv have a wrong label, by the name of the file, bool."""
    return [
        not Path(path).name.startswith(given) for path, given in zip(rows.path, rows.given_label)
    ]


@pytest.mark.slow
def test_a_small_set_whose_labels_are_memorised(rare):
    """Supervised training repeats all labels; the audit finds the wrong ones all the same."""
    root, paths = rare
    settings = configuration.resolve(
        "image_folder",
        method="supervised",
        backbone="none",
        max_iteration=110,
        batch_size=132,
        eval_freq=110,
    )
    fit.train(settings, *paths, root / "checkpoints", root / "model")
    metrics = label_issues.audit(*paths, [root / "checkpoints"], root / "audit")
    assert artifacts.read(root / "audit", artifacts.LABEL_AUDIT)["predicted_by"] == OTHER_EXAMPLES
    rows = pd.read_csv(root / "audit" / "label_issues.csv")
    wrong = np.array(wrong_of(rows))
    assert detection.ranking_quality(1 - rows.label_score.to_numpy(), wrong)["auroc"] > 0.95
    assert metrics["audit/noise_rate_low"] < wrong.mean() < metrics["audit/noise_rate_high"]
    assert "audit/noise_rate" not in metrics


def test_leave_one_out_without_trusted_images_and_for_a_single_image(tmp_path):
    """Only the given labels calibrate, and one class has a single image."""
    counts = {"good": 60, "defect": 30, "odd": 1}
    root = drawings(tmp_path / "photos", counts, {"good": 6, "defect": 3})
    records.prepare("image_folder", tmp_path / "a", DataSettings(data=str(root)))
    labels = records.read_labels(tmp_path / "a", "train")
    paths, ids = records.read_paths(tmp_path / "a", "train"), np.arange(len(labels))
    run = Evidence(np.zeros((len(ids), 3)), [], THE_RUN)
    others, tested = leave_one_out.evidence_from_others(tmp_path / "a", labels, ids, run)
    names = records.read_manifest(tmp_path / "a")["class_names"]
    wrong = np.array([not Path(p).name.startswith(names[k]) for p, k in zip(paths, labels)])
    p_given = others.P[ids, labels]
    assert detection.ranking_quality(-p_given, wrong)["auroc"] > 0.95
    assert p_given[labels == names.index("odd")] == 1
    assert others.warnings == ["class odd has only one image, so no other image can predict it"]
    assert tested.shape == (len(records.read_labels(tmp_path / "a", "test")), 3)
    rate, low, high = noise_estimation.noise_rate_range(others.P, labels)
    assert low < wrong.mean() < high
    assert rate == pytest.approx(wrong.mean(), abs=0.05)


@pytest.mark.parametrize(
    ("memorised", "recalls", "predicted_by", "warnings"),
    [
        (False, (0.9, 0.8), THE_RUN, []),
        (True, (0.9, 0.8), OTHER_EXAMPLES, []),
        (False, (0.5, 0.8), OTHER_EXAMPLES, []),
        (True, (1.0, 0.55), OTHER_EXAMPLES, [out_of_sample.CANNOT_TELL]),
    ],
)
def test_leave_one_out_predictions_in_a_small_set(memorised, recalls, predicted_by, warnings):
    run, others = (Evidence(np.zeros((1, 2)), [], name) for name in (THE_RUN, OTHER_EXAMPLES))
    found = out_of_sample.better_evidence(run, others, memorised, *recalls)
    assert (found.predicted_by, found.warnings) == (predicted_by, warnings)


def test_scores_leave_the_example_out(rng):
    Z, Y = rng.normal(size=(30, 5)), np.eye(3)[rng.integers(3, size=30)]
    Y -= Y.mean(axis=0)
    found, _ = leave_one_out.kernel_regression(Z, Y, Z)
    for i in (0, 7):
        others = np.arange(30) != i
        kernel = rbf_kernel(Z[others], gamma=leave_one_out.WIDTH / 5)
        weights = np.linalg.solve(kernel + leave_one_out.RIDGE * np.eye(29), Y[others])
        alone = rbf_kernel(Z[[i]], Z[others], gamma=leave_one_out.WIDTH / 5) @ weights
        np.testing.assert_allclose(found[i], alone[0])


def test_a_rate_that_other_evidence_shows_to_be_too_low():
    evidence = Evidence(np.zeros((1, 2)), [], THE_RUN, agreement=0.6, accuracy=0.9)
    assert contradictions(evidence, 0.3, 0.4) == []
    (said,) = contradictions(evidence, 0.0, 0.01)
    assert "90.0% accuracy on trusted images but agree with 60.0% of noisy labels" in said
    assert "implies a noise rate of at least 33.3%" in said
    evidence.accuracy = None
    assert contradictions(evidence, 0.0, 0.01) == []


@pytest.mark.parametrize("learned", [0.0, 0.5, 1.0])
def test_predictions_that_have_learned_wrong_labels_contradict_no_rate(rng, learned):
    """They agree with a part of the wrong labels, so agreement tells only how few are wrong."""
    wrong, hits = rng.random((2, 20_000)) < [[0.4], [0.8]]
    agrees = np.where(wrong, rng.random(20_000) < learned, hits)
    evidence = Evidence(np.zeros((1, 2)), [], THE_RUN, agreement=agrees.mean(), accuracy=0.8)
    assert contradictions(evidence, 0.35, 0.45) == []
    assert len(contradictions(evidence, 0.0, 0.08)) == (learned == 0)


def test_the_range_of_the_noise_rate(rng):
    P, given, true, _ = simulated(rng)
    rate, low, high = noise_estimation.noise_rate_range(P, given)
    assert low < rate < high
    assert low - 0.01 < np.mean(given != true) < high + 0.01  # its confidence, not its accuracy
    _, *few = noise_estimation.noise_rate_range(P[:200], given[:200])
    assert few[1] - few[0] > high - low
    absent = np.where(given == 3, 2, given)  # a class that no label names
    assert 0 <= noise_estimation.noise_rate_range(P, absent)[1] < 1


@pytest.mark.parametrize(("count", "most"), [(50, 0.06), (1000, 0.003)])
def test_few_labels_give_a_wide_range_although_all_are_true(count, most):
    given = np.arange(count) % 2
    rate, low, high = noise_estimation.noise_rate_range(np.eye(2)[given] * 0.999 + 0.0005, given)
    assert (round(rate, 3), round(low, 3)) == (0, 0)
    assert high == pytest.approx(most, rel=0.1)


def test_calibration_keeps_some_of_the_probe(data):
    settings = configuration.resolve("digits", calibration_per_class=2)
    probe_ids, _, _ = probe.read_split(data[2], records.read_manifest(data[0]))
    training, held_out = probe.split_for_calibration(probe_ids, settings, 10)
    labels = records.read_clean_labels(data[0])
    np.testing.assert_array_equal(np.bincount(labels[training]), [8] * 10)
    np.testing.assert_array_equal(np.bincount(labels[held_out]), [2] * 10)
    with pytest.raises(InputError, match="--calibration_per_class: must be at most the 10"):
        probe.split_for_calibration(
            probe_ids, configuration.resolve("digits", calibration_per_class=11), 10
        )


def test_captions_of_coefficients():
    captions = {"p_clean": ("Clean", "probability")}
    assert coefficient_captions(captions) == captions
    assert coefficient_captions(("a",)) == {"a": ("a", "mean a over training")}


def test_any_coefficient_of_a_method_is_kept_and_plotted(digits, tmp_path, rng):
    """Also one that no code names."""
    P, given, *_ = simulated(rng, N=50)
    surprise = np.linspace(0, 1, len(given), dtype=np.float32)
    captions = {"surprise": ("Surprise", "mean surprise")}
    evidence = Evidence(P, [], THE_RUN, coefficients={"surprise": surprise}, captions=captions)
    table, _ = label_issues.audited_table(evidence, np.arange(len(given)), given)
    label_issues.write_issues(tmp_path, table.assign(run="a1", dataset="b"), digits, captions)
    rows = pd.read_parquet(tmp_path / label_issues.TABLE)
    assert list(rows) == label_issues.columns(captions)
    np.testing.assert_array_equal(rows.set_index("id").surprise.sort_index(), surprise)
    unknown = np.full(len(rows), -1)
    charts = training_charts.histograms(rows, table.given_label[rows.id], unknown, captions)
    assert list(charts) == ["Label scores", "Surprise"]
    assert "mean surprise" in charts["Surprise"]
