"""From what a network says of images to how likely each of their labels is wrong.

P(true j | image, given k) is proportional to P(j | image) T[j, k]. P comes from the network,
calibrated on trusted images that it was not trained on; T, the noise, from the labels themselves,
by expectation and maximisation (Dawid and Skene, 1979, with one annotator).
"""

import numpy as np

from trainer.detection import rows_of_shares

STEPS = 5  # more of them follow the network's own errors
RESAMPLES, MOST_RESAMPLED = 30, 10_000
PRIOR = 1.0  # of uniform noise, in mean class sizes


def posterior(P, given):
    """How likely each class is the true one, knowing image and given label.

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
        right = np.trace(counts) / len(given)
        T = rows_of_shares(counts + PRIOR * len(given) / C * uniform_noise(1 - right, C))
    Q = given_label_too(P, given, T)
    return Q, rows_of_shares(joint_counts(Q, given))


def rate_range(P, given):
    """Between which rates the noise is: 5th and 95th percentile over resampled examples.

    The lower end is of the smaller of two estimates, the upper one of the larger: this posterior
    takes too few labels for wrong where noise is hard to see, cleanlab's confident joint too many.

    Args:
      P: (N, C) probabilities by the image alone.
      given: int (N,).
    """
    from cleanlab.count import estimate_joint  # takes seconds

    rng, rates = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        rows = rng.integers(len(given), size=min(len(given), MOST_RESAMPLED))
        Q, _ = posterior(P[rows], given[rows])
        of_posterior = 1 - Q[np.arange(len(rows)), given[rows]].mean()
        of_joint = 1 - np.trace(estimate_joint(given[rows], P[rows]))
        rates.append(sorted((of_posterior, of_joint)))
    low, high = np.transpose(rates)
    return float(np.percentile(low, 5)), float(np.percentile(high, 95))


def given_label_too(P, given, T):
    """Q[i, j] proportional to P[i, j] T[j, given_i]: (N, C), rows sum to 1."""
    Q = P * T.T[given]
    return Q / Q.sum(axis=1, keepdims=True)


def joint_counts(Q, given):
    """Expected number of examples of true class j that are given k: (C, C)."""
    counts = np.zeros((Q.shape[1], Q.shape[1]))
    np.add.at(counts, given, Q)
    return counts.T


def uniform_noise(rate, C):
    """T of labels that are wrong at this rate, whatever the class."""
    T = np.full((C, C), rate / (C - 1))
    np.fill_diagonal(T, 1 - rate)
    return T
