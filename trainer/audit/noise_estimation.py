"""Estimates from class probabilities how likely each given label is wrong.

P(true j | image, given k) is proportional to P(j | image) T[j, k]. P comes from the network,
calibrated on trusted images that it was not trained on. EM (Dawid and Skene, 1979, with one
annotator) estimates the transition matrix T from the given labels.
"""

import numpy as np
from scipy.stats import beta

from trainer.data.noise.transition import normalised_rows, uniform_noise

STEPS = 5  # of EM; with more, T follows the network's own errors
RESAMPLES, MOST_RESAMPLED = 30, 10_000
PRIOR = 1.0  # of uniform noise, in mean class sizes


def true_label_posterior(P, given):
    """Probability that each class is the true one, from the image and its given label.

    Args:
      P: (N, C) probabilities by the image alone.
      given: int (N,).

    Returns:
      (N, C), and T (C, C), T[j, k] = P(given k | true j).
    """
    C = P.shape[1]
    T = uniform_noise(0.5, C)
    for _ in range(STEPS):
        counts = joint_counts(given_label_too(P, given, T), given)
        clean = np.trace(counts) / len(given)
        T = normalised_rows(counts + PRIOR * len(given) / C * uniform_noise(1 - clean, C))
    Q = given_label_too(P, given, T)
    return Q, normalised_rows(joint_counts(Q, given))


def noise_rate_range(P, given):
    """The noise rate and its 90% range.

    Over resampled examples, the lower end comes from the smaller of two estimates and the upper end
    from the larger: this posterior counts too few labels as wrong where noise is hard to see,
    cleanlab's confident joint too many. The range is never narrower than that of a counted rate.

    Args:
      P: (N, C) probabilities by the image alone.
      given: int (N,).

    Returns:
      The expected rate under the posterior, the lower end and the upper end.
    """
    from cleanlab.count import estimate_joint  # takes seconds

    rng, N, rates = np.random.default_rng(0), len(given), []
    for _ in range(RESAMPLES):
        rows = rng.integers(N, size=min(N, MOST_RESAMPLED))
        of_joint = 1 - np.trace(estimate_joint(given[rows], P[rows]))
        rates.append(sorted((expected_rate(P[rows], given[rows]), of_joint)))
    (low, _), (_, high) = np.percentile(rates, [5, 95], axis=0)
    rate = expected_rate(P, given)
    wrong = rate * N  # Clopper and Pearson, 1934
    counted = beta.ppf([0.05, 0.95], [max(wrong, 1e-9), wrong + 1], [N - wrong + 1, N - wrong])
    return float(rate), float(min(low, counted[0])), float(max(high, counted[1]))


def expected_rate(P, given):
    """Mean probability that a given label is wrong."""
    Q, _ = true_label_posterior(P, given)
    return 1 - Q[np.arange(len(given)), given].mean()


def given_label_too(P, given, T):
    """Q[i, j] proportional to P[i, j] T[j, given_i]: (N, C), rows sum to 1."""
    Q = P * T.T[given]
    return Q / Q.sum(axis=1, keepdims=True)


def joint_counts(Q, given):
    """Expected number of examples with true class j and given label k: (C, C)."""
    counts = np.zeros((Q.shape[1], Q.shape[1]))
    np.add.at(counts, given, Q)
    return counts.T
