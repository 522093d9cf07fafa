"""The noise rate corrected by trusted images: the estimate, and which given labels are known."""

import numpy as np
import pytest
from scipy.special import softmax

from tests.image_files import write_images
from trainer.audit import linear_models, test_images
from trainer.audit.evidence import Evidence
from trainer.audit.noise_estimation import given_label_too
from trainer.audit.rate_correction import KnownLabels, at_rate, corrected, shifted
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


@pytest.mark.parametrize("rate", [1e-6, 0.2, 0.999])
def test_probabilities_at_another_rate(rng, rate):
    P, given, _, _ = drawn(rng, 0.4, 0.5)
    P[0] = np.eye(C)[0]  # certain
    T = uniform_noise(0.3, C)
    scaled = at_rate(P, given, T, rate)
    assert biased(P, given, scaled) == pytest.approx(rate, abs=2e-3)
    assert abs(biased(P, given, T) - rate) > 0.02
    np.testing.assert_array_equal((scaled == T)[~np.eye(C, dtype=bool)], True)


def audited(dataset, noisy_labels, split, finetune=False):
    """Audits with features that show the true class. Returns evidence, and rates with notes."""
    labels, true = np.load(noisy_labels / "labels.npy"), records.read_clean_labels(dataset)
    _, ids, _ = probe.read_split(split, records.read_manifest(dataset))
    C, noise = true.max() + 1, np.random.default_rng(0).normal(size=(len(labels), 12))
    features = noise + 3 * np.eye(12)[np.where(true >= 0, true, labels)]
    run = {"seed": 0, "config": {"finetune": finetune}}
    by_run = Evidence(np.full((len(ids), C), 1 / C), [run], "a run")
    own = -features if finetune else features
    evidence = linear_models.evidence_out_of_fold(
        by_run, dataset, split, own, labels, ids, embeddings=features
    )
    return evidence, test_images.noise_rates(dataset, evidence, labels[ids])


@pytest.mark.slow
def test_trusted_images_drawn_from_the_training_images_correct_the_rate(
    digits, noisy_labels, tmp_path
):
    probe.split(digits, tmp_path / "probe", per_class=4, seed=0)
    ids, given = probe.known_given_labels(
        tmp_path / "probe", digits, labels := np.load(noisy_labels / "labels.npy")
    )
    np.testing.assert_array_equal(ids, np.load(tmp_path / "probe" / "probe_ids.npy"))
    np.testing.assert_array_equal(given, labels[ids])
    assert np.any(given != records.read_clean_labels(digits)[ids])
    evidence, (rates, _, notes) = audited(digits, noisy_labels, tmp_path / "probe")
    np.testing.assert_array_equal(rates.overall, evidence.correction.overall)
    assert notes == [
        "The noise rates and the label scores are corrected by 40 trusted images whose given labels"
        " are known"
    ]
    tuned, (rates_tuned, _, _) = audited(digits, noisy_labels, tmp_path / "probe", finetune=True)
    np.testing.assert_array_equal(rates_tuned.overall, rates.overall)
    expected = biased(tuned.P, labels[np.setdiff1d(np.arange(len(labels)), ids)], tuned.transition)
    assert expected == pytest.approx(rates.overall[0], abs=1e-6)


@pytest.mark.slow
def test_a_trusted_folder_corrects_nothing(tmp_path):
    """People copy into it what is given the right class, so that it says nothing of the others."""
    data = write_images(tmp_path / "images", 60, size=(8, 8))
    trusted = write_images(tmp_path / "trusted", 12, size=(8, 8), seed=7)
    records.prepare(
        "image_folder", tmp_path / "data", DataSettings(data=str(data), trusted=str(trusted))
    )
    injection.inject(tmp_path / "data", tmp_path / "noisy", "none", 0, 0)
    probe.split(tmp_path / "data", tmp_path / "probe", 12, 0)
    paths = [tmp_path / name for name in ("data", "noisy", "probe")]
    tuned, _ = audited(*paths, finetune=True)
    assert (tuned.correction, tuned.predicted_by) == (None, linear_models.WITH_RUN)
    evidence, (_, _, notes) = audited(*paths)
    assert evidence.correction is None
    np.testing.assert_allclose(evidence.transition.sum(axis=1), 1)
    assert notes == []
