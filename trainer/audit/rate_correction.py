"""The noise rate, corrected by trusted images whose given labels are known.

Probabilities that are not confident enough overstate a low noise rate, and annotators who err where
the model errs hide a part of a high one. The true labels of trusted images tell by how much. One
constant is added to the log-odds of every label to be wrong, so that as many labels of trusted
images are expected to be wrong as are: Platt scaling (1999) with the intercept alone, on a sample
that is weighted by class. This is a difference estimator of survey sampling (Särndal et al., 1992;
in machine learning prediction-powered inference, Angelopoulos et al., Science 2023) whose
difference is 0 by construction. The posterior gives all rates, scores and corrections after it.

N audited examples, M trusted ones with known given labels, C classes.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import t as student

from trainer.audit.evidence import TRUSTED
from trainer.audit.noise_estimation import given_label_too
from trainer.methods import cross_fitting

DEVIATION = 3.0  # of the constant, normal around 0: without a wrong label it stays finite
CERTAIN = 1e-9


@dataclass(frozen=True)
class KnownLabels:
    """Trusted examples whose given labels are known.

    Attributes:
      P: float (M, C), probabilities by the image alone, out of sample.
      given: int (M,).
      true: int (M,).
    """

    P: np.ndarray
    given: np.ndarray
    true: np.ndarray


@dataclass(frozen=True)
class Correction:
    """The corrected noise rate.

    Attributes:
      overall: float (3,), the rate of all labels, its lower and its upper end (90%).
      trusted: M.
    """

    overall: np.ndarray
    trusted: int

    def note(self):
        """What the estimate rests on, a sentence without a full stop."""
        rests_on = f"{self.trusted:,} trusted images whose given labels are known"
        return f"The noise rates and the label scores are corrected by {rests_on}"


def corrected(P, given, transition, known, prior=0.04):
    """Corrects the noise rate, if enough given labels of trusted examples are known.

    Label scores and corrected labels follow it.

    Args:
      P: float (N, C), probabilities by the image alone, made as those of `known`.
      given: int (N,).
      transition: T (C, C), T[j, k] = P(given k | true j).
      known: `KnownLabels`.
      prior: See `trainer.methods.cross_fitting.cross_fit`.

    Returns:
      T (C, C) with a scaled diagonal, so that `given_label_too` returns the corrected posterior,
      and the `Correction`; T as it is and None if fewer than TRUSTED given labels are known.
    """
    if len(known.true) < TRUSTED:
        return transition, None
    both = np.concatenate([P, known.P]), np.concatenate([given, known.given])
    return shifted(P, given, refined(*both, transition, prior), known)


def refined(P, given, T, prior):
    """T (C, C) by EM from audited and trusted examples alike.

    T follows chance errors of P on the examples that it is from, so that their labels look worse
    than those of others.
    """
    for _ in range(cross_fitting.EM_STEPS):
        joint = cross_fitting.joint_probability(given_label_too(P, given, T), given)
        T = cross_fitting.transition(joint, prior)
    return T


def shifted(P, given, transition, known):
    """T with a scaled diagonal, and the `Correction`; see `corrected`."""
    Q = given_label_too(P, given, transition)
    wrong = known.given != known.true
    weights = class_weights(known.true, Q.mean(axis=0))
    odds = log_odds(Q, given)
    odds_known = log_odds(given_label_too(known.P, known.given, transition), known.given)
    shift = fitted_shift(odds_known, wrong, weights)
    estimate = expit(odds + shift)
    difference = wrong - expit(odds_known + shift)
    overall = with_range(estimate.mean(), estimate, difference, weights)
    if not wrong.any():
        overall[1] = 0
    return with_shift(transition, shift), Correction(overall, len(wrong))


def at_rate(P, given, transition, rate):
    """T with a scaled diagonal, so that a fraction `rate` is expected to be wrong; see `corrected`.

    This carries the corrected rate over to probabilities that have seen the trusted examples.
    """
    odds = log_odds(given_label_too(P, given, transition), given)
    most = 2 * logit(1 - CERTAIN)  # above it all labels are wrong, or right
    shift = brentq(lambda shift: expit(odds + shift).mean() - rate, -most, most)
    return with_shift(transition, shift)


def with_shift(transition, shift):
    """T by which the log-odds of each label to be wrong are larger by a constant."""
    return transition * np.where(np.eye(len(transition), dtype=bool), np.exp(-shift), 1)


def class_weights(true, shares):
    """Weights (M,) that sum to 1: the share of the true class over its number of examples.

    Classes that no example has are taken to be like the others.
    """
    weights = (shares / np.maximum(np.bincount(true, minlength=len(shares)), 1))[true]
    return weights / weights.sum()


def log_odds(Q, given):
    """Log-odds that each given label is wrong, (N,), from the posterior (N, C)."""
    right = Q[np.arange(len(given)), given]
    return -logit(np.clip(right, CERTAIN, 1 - CERTAIN))


def fitted_shift(odds, wrong, weights):
    """The most probable constant in log-odds (M,), from which labels are wrong, bool (M,)."""
    M, variance = len(wrong), DEVIATION**2

    def slope(shift):  # of the log posterior of the constant; it falls throughout
        return M * weights @ (wrong - expit(odds + shift)) - shift / variance

    return brentq(slope, -M * variance, M * variance)


def with_range(mean, estimate, difference, weights):
    """A mean and its 90% range, float (3,), from the estimates (N,) and the differences (M,).

    An unseen wrong label adds to the variance: differences of 0 do not make the range narrow.
    """
    M = len(difference)
    spread = weights * (difference - weights @ difference)
    variance = M / (M - 1) * spread @ spread + 1 / M**2 + estimate.var() / len(estimate)
    half = student.ppf(0.95, M - 1) * np.sqrt(variance)
    return np.clip(mean + half * np.array([0, -1, 1]), 0, 1)
