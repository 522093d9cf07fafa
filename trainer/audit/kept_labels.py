"""How many labels are right after correction, as trusted images tell that no prediction has seen.

Predictions that are too confident make corrections look better than they are, most of all on few
images. The true labels of trusted images tell by how much: a difference estimator, as in
`trainer.audit.rate_correction`. Where their given labels are not known, they are drawn from T.

N audited examples, M trusted ones, C classes.
"""

import numpy as np

from trainer.audit.evidence import TRUSTED
from trainer.audit.noise_estimation import at_rate, given_label_too, joint_counts
from trainer.audit.rate_correction import class_weights, with_range
from trainer.data.noise.transition import normalised_rows

ENDS = ("estimated", "low", "high")
TELLING = "audit/labels_right_estimated"  # in the manifest, if trusted images tell
DRAWS = 20  # given labels of each trusted example, where they are not known


def fraction_right(P, given, transition, P_trusted, true, given_trusted=None):
    """The fraction of labels that are right after correction, its lower and its upper end.

    Fewer ranges cover than the nominal 90%; docs/method.md has measured how many.

    Args:
      P: float (N, C), probabilities by the image alone.
      given: int (N,).
      transition: T (C, C), its diagonal scaled or not.
      P_trusted: float (M, C), made as P, out of sample.
      true: int (M,).
      given_trusted: int (M,), if they are known.

    Returns:
      float (3,); None for fewer than TRUSTED trusted examples.
    """
    if len(true) < TRUSTED:
        return None
    Q = given_label_too(P, given, transition)
    if given_trusted is None:
        labels = drawn(true, normalised_rows(joint_counts(Q, given)))
    else:
        labels = [given_trusted]
    excess = np.mean([excesses(P_trusted, y, true, transition) for y in labels], axis=0)
    expected, weights = Q.max(axis=1), class_weights(true, Q.mean(axis=0))
    return with_range(expected.mean() + weights @ excess, expected, excess, weights)


def wrong_at_ends(wrong, audit):
    """Probabilities (N,) that kept labels are wrong, by the name of the end: of ENDS.

    Their means follow the trusted images, where these tell, otherwise the noise rate and its range.

    Args:
      wrong: float (N,), of audited training examples, as the posterior has them.
      audit: Manifest of the label audit.
    """
    if TELLING in audit:
        mean = wrong.mean()
        right = {end: audit[f"audit/labels_right_{end}"] for end in ENDS}
        return {end: at_rate(wrong, mean, 1 - fraction) for end, fraction in right.items()}
    return at_noise_rates(wrong, audit)


def at_noise_rates(wrong, audit):
    """As `wrong_at_ends`, by the noise rate and its range alone; also of given labels."""
    estimate, low, high = (audit[f"audit/noise_rate_{end}"] for end in ENDS)
    rates = estimate, high, low  # more noise, fewer labels right
    return {end: at_rate(wrong, estimate, rate) for end, rate in zip(ENDS, rates)}


def drawn(true, T):
    """DRAWS times a given label of each example, int (DRAWS, M), from its row of T (C, C)."""
    places = np.random.default_rng(0).random((DRAWS, len(true), 1))
    return (np.cumsum(T, axis=1)[true] < places).sum(axis=2).clip(max=len(T) - 1)


def excesses(P, given, true, transition):
    """By how much the label that is kept is more often right than expected, (M,)."""
    Q = given_label_too(P, given, transition)
    return (Q.argmax(axis=1) == true) - Q.max(axis=1)
