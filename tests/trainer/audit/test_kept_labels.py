"""How many labels are right after correction, by trusted images."""

import numpy as np
import pytest
from scipy.special import softmax

from trainer.audit import kept_labels
from trainer.audit.noise_estimation import given_label_too
from trainer.data.noise.transition import uniform_noise

C, N, EACH = 4, 800, 10


def drawn(rng, rate, sharpness):
    """P and given labels of audited, then of trusted examples, and their true labels."""
    true = np.concatenate([rng.choice(C, N, p=[0.4, 0.3, 0.2, 0.1]), np.repeat(np.arange(C), EACH)])
    given = np.where(rng.random(len(true)) < rate, (true + rng.integers(1, C, len(true))) % C, true)
    P = softmax(sharpness * (rng.normal(size=(len(true), C)) + 1.5 * np.eye(C)[true]), axis=1)
    return P, given, true


@pytest.mark.parametrize("known", [True, False])
def test_the_bias_of_overconfidence_is_taken_off_and_the_range_covers(rng, known):
    T, before, after, covered = uniform_noise(0.4, C), [], [], []
    for _ in range(60):
        P, given, true = drawn(rng, 0.4, sharpness=5)
        Q = given_label_too(P[:N], given[:N], T)
        right = np.mean(Q.argmax(axis=1) == true[:N])
        of_trusted = P[N:], true[N:], given[N:] if known else None
        found, low, high = kept_labels.fraction_right(P[:N], given[:N], T, *of_trusted)
        before.append(Q.max(axis=1).mean() - right)
        after.append(found - right)
        covered.append(low <= right <= high)
    assert np.mean(before) > 0.1
    assert abs(np.mean(after)) < 0.025
    assert 0.8 <= np.mean(covered) <= 1


def test_few_trusted_images_tell_nothing(rng):
    P, given, true = drawn(rng, 0.4, 1)
    T = uniform_noise(0.4, C)
    few = P[-19:], true[-19:]
    assert kept_labels.fraction_right(P[:N], given[:N], T, *few) is None


def test_given_labels_are_drawn_from_the_row_of_the_true_class():
    T = np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.2, 0.0, 0.8]])
    true = np.repeat([0, 1, 2], 200)
    drawn = kept_labels.drawn(true, T)
    assert drawn.shape == (kept_labels.DRAWS, 600)
    for k in range(3):
        counts = np.bincount(drawn[:, true == k].ravel(), minlength=3) / drawn[:, true == k].size
        np.testing.assert_allclose(counts, T[k], atol=0.02)
