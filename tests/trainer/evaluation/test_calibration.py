import numpy as np
import pytest
from scipy.special import softmax

from trainer.evaluation import calibration


def logits(N=5000, C=5):
    """Calibrated logits, and labels drawn from their softmax."""
    rng = np.random.default_rng(0)
    z = 2 * rng.normal(size=(N, C))
    return z, np.array([rng.choice(C, p=p) for p in softmax(z, axis=1)])


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_temperature_finds_how_much_too_sure(factor):
    z, labels = logits()
    found = calibration.fit_temperature(factor * z, labels)
    assert found == pytest.approx(factor, rel=0.05)
    before = calibration.ece_and_nll(factor * z, labels)
    after = calibration.ece_and_nll(factor * z / found, labels)
    assert after["ece"] < 0.02
    assert after["nll"] <= before["nll"] + 1e-9


def test_reliability_by_hand():
    P = np.array([[0.9, 0.1], [0.9, 0.1], [0.35, 0.65], [1.0, 0.0]])
    confidence, accuracy, count = calibration.reliability_bins(P, np.array([0, 1, 1, 0]))
    assert sum(count) == 4
    assert (confidence[13], accuracy[13], count[13]) == (pytest.approx(0.9), 0.5, 2)
    assert (confidence[9], accuracy[9]) == (pytest.approx(0.65), 1.0)
    assert (confidence[14], accuracy[14]) == (1.0, 1.0)
    ece = calibration.ece_and_nll(np.log(P + 1e-12), np.array([0, 1, 1, 0]))["ece"]
    assert ece == pytest.approx((2 * 0.4 + 0.35) / 4, abs=1e-6)
