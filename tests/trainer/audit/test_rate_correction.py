"""The noise rate corrected by trusted images: the estimate, and which given labels are known."""

import shutil

import numpy as np
import pytest
from scipy.special import softmax

from tests.image_files import CLASSES, write_images
from trainer.audit import linear_models, test_images
from trainer.audit.evidence import Evidence
from trainer.audit.noise_estimation import given_label_too
from trainer.audit.rate_correction import KnownLabels, corrected, shifted
from trainer.data import probe, records
from trainer.data.noise import injection
from trainer.data.noise.transition import uniform_noise
from trainer.settings.data import DataSettings

C, N, EACH = 4, 800, 10


def drawn(rng, rate, sharpness, follows=0.0, each=EACH):
    """P of audited and of trusted examples, not sharp enough or like given labels, and labels."""
    true = np.concatenate([rng.choice(C, N, p=[0.4, 0.3, 0.2, 0.1]), np.repeat(np.arange(C), each)])
    others = (true + rng.integers(1, C, len(true))) % C
    given = np.where(rng.random(len(true)) < rate, others, true)
    shown = np.where(rng.random(len(true)) < follows, given, true)
    z = 2 * (rng.normal(size=(len(true), C)) + 2 * np.eye(C)[shown])
    P = softmax(sharpness * z, axis=1)
    return P[:N], given[:N], true[:N], KnownLabels(P[N:], given[N:], true[N:])


def biased(P, given, T):
    return 1 - given_label_too(P, given, T)[np.arange(len(given)), given].mean()


@pytest.mark.parametrize(
    ("rate", "sharpness", "follows", "assumed"),
    [(0.1, 0.3, 0, 0.3), (0.4, 1, 0.4, 0.3), (0.6, 0.5, 0.2, 0.3)],
)
def test_a_bias_is_taken_off_and_the_range_covers(rng, rate, sharpness, follows, assumed):
    T, errors, before, covered = uniform_noise(assumed, C), [], [], []
    for _ in range(60):
        P, given, true, known = drawn(rng, rate, sharpness, follows)
        wrong = np.mean(given != true)
        scaled, correction = shifted(P, given, T, known)
        estimate, low, high = correction.overall
        assert biased(P, given, scaled) == pytest.approx(estimate, abs=1e-6)
        errors.append(estimate - wrong)
        before.append(biased(P, given, T) - wrong)
        covered.append(low <= wrong <= high)
    assert abs(np.mean(before)) > 0.07
    assert abs(np.mean(errors)) < 0.025
    assert 0.8 <= np.mean(covered) <= 1


def test_no_wrong_label_among_the_known_ones(rng):
    P, given, _, known = drawn(rng, 0, 0.4)
    T = uniform_noise(0.2, C)
    scaled, correction = shifted(P, given, T, known)
    rate, low, high = correction.overall
    assert biased(P, given, T) > 0.08
    assert low == 0 < rate < 0.03 < high < 0.12
    before, after = (given_label_too(P, given, each) for each in (T, scaled))
    rows = np.arange(N)
    order, again = (np.argsort(each[rows, given], kind="stable") for each in (before, after))
    np.testing.assert_array_equal(order, again)
    assert np.all(after > 0)


def test_a_class_without_known_labels_is_like_the_others(rng):
    errors = []
    for _ in range(30):
        P, given, true, known = drawn(rng, 0.3, 0.4, each=20)
        kept = known.true != 3
        known = KnownLabels(known.P[kept], known.given[kept], known.true[kept])
        _, correction = corrected(P, given, uniform_noise(0.3, C), known)
        errors.append(correction.overall[0] - np.mean(given != true))
    assert abs(np.mean(errors)) < 0.04


def test_few_known_labels_correct_nothing(rng):
    P, given, _, known = drawn(rng, 0.3, 0.4, each=4)
    T = uniform_noise(0.3, C)
    scaled, correction = corrected(P, given, T, known)
    assert correction is None
    assert scaled is T


def twin_folder(root, wrong):
    """Images of two classes, and trusted copies of 12 of each; `wrong` of each are misfiled."""
    data = write_images(root / "images", 60, size=(8, 8))
    for label, name in enumerate(CLASSES):
        (root / "trusted" / name).mkdir(parents=True)
        for i, file in enumerate(sorted((data / name).iterdir())[:12]):
            shutil.copy(file, root / "trusted" / name / file.name)
            if i < wrong:
                file.rename(data / CLASSES[1 - label] / f"moved {file.name}")
    return data, root / "trusted"


def audited(root, data, trusted):
    """Prepares and audits with features that show the true class. Returns what it found."""
    settings = DataSettings(data=str(data), trusted=str(trusted))
    written = records.prepare("image_folder", root / "data", settings)
    injection.inject(root / "data", root / "noisy", "none", 0, 0)
    probe.split(root / "data", root / "probe", 12, 0)
    labels = np.load(root / "noisy" / "labels.npy")
    _, ids, _ = probe.read_split(root / "probe", written)
    true = probe.trusted_labels(root / "probe", root / "data", labels)
    seen = np.where(true >= 0, true, labels)
    noise = np.random.default_rng(0).normal(size=(len(labels), 6))
    features = noise + 3 * np.eye(6)[seen]
    run = {"seed": 0, "config": {"finetune": False}}
    by_run = Evidence(np.full((len(ids), 2), 0.5), [run], "a run")
    evidence = linear_models.evidence_out_of_fold(
        by_run, root / "data", root / "probe", features, labels, ids
    )
    return written, evidence, test_images.noise_rates(root / "data", evidence, labels[ids])


def test_training_images_that_are_trusted_as_well_tell_their_given_labels(tmp_path):
    data, trusted = twin_folder(tmp_path, wrong=3)
    twin = next((data / CLASSES[0]).glob("moved *"))
    shutil.copy(twin, data / CLASSES[1] / "again.jpg")  # under both classes: not known
    written, evidence, (rates, _, notes) = audited(tmp_path, data, trusted)
    trusted_ids = records.read_trusted_ids(tmp_path / "data")
    given, true = (
        records.read_trusted_given(tmp_path / "data"),
        records.read_clean_labels(tmp_path / "data")[trusted_ids],
    )
    assert len(given) == 24
    assert np.sum(given == -1) == 1
    assert np.sum((given >= 0) & (given != true)) == 5
    said = [note for note in written["notes"] if "training images as well" in note]
    assert [note.split()[0] for note in said] == ["23"]
    assert evidence.correction.trusted == 23
    np.testing.assert_array_equal(rates.overall, evidence.correction.overall)
    assert notes == [
        "The noise rates and the label scores are corrected by 23 trusted images whose given labels"
        " are known"
    ]


@pytest.mark.parametrize("kind", ["all right", "no twins"])
def test_trusted_images_that_say_nothing_of_given_labels(kind, tmp_path):
    """Trusted images picked from among rightly labelled ones, and such as have no given label."""
    data, trusted = twin_folder(tmp_path, wrong=0)
    if kind == "no twins":
        trusted = write_images(tmp_path / "others", 12, size=(8, 8), seed=7)
    _, evidence, (_, _, notes) = audited(tmp_path, data, trusted)
    assert evidence.correction is None
    np.testing.assert_allclose(evidence.transition.sum(axis=1), 1)
    assert notes == []


def test_given_labels_of_a_probe_drawn_from_the_training_images(digits, noisy_labels, probe_split):
    labels = np.load(noisy_labels / "labels.npy")
    ids, given = probe.known_given_labels(probe_split, digits, labels)
    np.testing.assert_array_equal(ids, np.load(probe_split / "probe_ids.npy"))
    np.testing.assert_array_equal(given, labels[ids])
    assert np.any(given != records.read_clean_labels(digits)[ids])
