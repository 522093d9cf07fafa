"""Estimates from class probabilities how likely each given label is wrong.

P(true j | image, given k) is proportional to P(j | image) T[j, k]. P comes from the network,
calibrated on trusted images that it was not trained on. EM (Dawid and Skene, 1979, with one
annotator) estimates the transition matrix T from the given labels.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

from trainer.data.noise.transition import normalised_rows, uniform_noise

STEPS = 5  # of EM; with more, T follows the network's own errors
RESAMPLES, MOST_RESAMPLED = 30, 10_000
PRIOR = 1.0  # of uniform noise, in mean class sizes


def true_label_posterior(P, given, transition=None):
    """Probability that each class is the true one, from the image and its given label.

    Args:
      P: (N, C) probabilities by the image alone.
      given: int (N,).
      transition: T (C, C) if known; EM finds it unless given.

    Returns:
      (N, C), and T (C, C), T[j, k] = P(given k | true j).
    """
    if transition is not None:
        return given_label_too(P, given, transition), transition
    C = P.shape[1]
    T = uniform_noise(0.5, C)
    for _ in range(STEPS):
        counts = joint_counts(given_label_too(P, given, T), given)
        clean = np.trace(counts) / len(given)
        T = normalised_rows(counts + PRIOR * len(given) / C * uniform_noise(1 - clean, C))
    Q = given_label_too(P, given, T)
    return Q, normalised_rows(joint_counts(Q, given))


@dataclass
class NoiseRates:
    """Estimated noise rates, each with its 90% range.

    Attributes:
      overall: float (3,), the rate of all labels, its lower and its upper end.
      by_class: float (C, 3), the rate of the labels given as each class.
      by_pair: float (C, C, 3), of the labels given as class k, the fraction whose true class is
        j: [k, j]; [k, k] is the fraction that is right.
    """

    overall: np.ndarray
    by_class: np.ndarray
    by_pair: np.ndarray


def noise_rates(P, given, transition=None):
    """Noise rates of all labels, of classes and of class pairs, with their 90% ranges.

    Over resampled examples, the lower end comes from the smaller of two estimates and the upper end
    from the larger: this posterior counts too few labels as wrong where noise is hard to see,
    cleanlab's confident joint too many. The range is never narrower than that of a counted rate.

    Args:
      P: (N, C) probabilities by the image alone.
      given: int (N,).
      transition: As for `true_label_posterior`.

    Returns:
      `NoiseRates`.
    """
    from cleanlab.count import estimate_joint  # takes seconds

    rng, N, overall, by_pair = np.random.default_rng(0), len(given), [], []
    for _ in range(RESAMPLES):
        rows = rng.integers(N, size=min(N, MOST_RESAMPLED))
        joint = estimate_joint(given[rows], P[rows])
        expected = expected_rates(P[rows], given[rows], transition)
        both = expected, (1 - np.trace(joint), of_given_labels(joint))
        overall.append(sorted(rate for rate, _ in both))
        by_pair.append(np.sort([pairs for _, pairs in both], axis=0).astype(np.float32))
    rate, pairs = expected_rates(P, given, transition)
    counts, by_pair = np.bincount(given, minlength=P.shape[1]), np.swapaxes(by_pair, 0, 1)
    right = with_range(np.diag(pairs), *np.diagonal(by_pair, axis1=2, axis2=3), counts)
    return NoiseRates(
        overall=with_range(rate, *np.transpose(overall), N),
        by_class=1 - right[:, [0, 2, 1]],
        by_pair=with_range(pairs, *by_pair, counts[:, np.newaxis]),
    )


def noise_rate_range(P, given):
    """The rate of all labels, the lower end and the upper end of its range; see `noise_rates`."""
    return tuple(noise_rates(P, given).overall.tolist())


def expected_rates(P, given, transition=None):
    """Mean probability that a given label is wrong, and of each true class (C, C), by given one."""
    Q, _ = true_label_posterior(P, given, transition)
    pairs = of_given_labels(joint_counts(Q, given).T)
    return 1 - Q[np.arange(len(given)), given].mean(), pairs


def of_given_labels(joint):
    """Rows of P(true | given) from a joint (C, C) of given and true; rows without labels are 0."""
    return joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-12)


def with_range(rate, smaller, larger, counts):
    """A rate, its lower and its upper end, in a new last axis.

    Args:
      rate: Rates of any shape.
      smaller: The smaller estimates, of each resample in the first axis.
      larger: The larger ones.
      counts: Number of labels that each rate is of.
    """
    rate = np.asarray(rate)
    low, high = np.percentile(smaller, 5, axis=0), np.percentile(larger, 95, axis=0)
    wrong = rate * counts  # Clopper and Pearson, 1934
    counted = (
        beta.ppf(0.05, np.maximum(wrong, 1e-9), counts - wrong + 1),
        beta.ppf(0.95, wrong + 1, np.maximum(counts - wrong, 1e-9)),
    )
    return np.stack([rate, np.minimum(low, counted[0]), np.maximum(high, counted[1])], axis=-1)


def at_rate(wrong, estimate, rate):
    """Probabilities whose mean, of `estimate`, becomes `rate`: nearer to 1, or to 0."""
    if rate <= estimate:
        return wrong * rate / max(estimate, 1e-9)
    return wrong + (1 - wrong) * (rate - estimate) / (1 - estimate)


def given_label_too(P, given, T):
    """Q[i, j] proportional to P[i, j] T[j, given_i]: (N, C), rows sum to 1."""
    Q = P * T.T[given]
    return Q / Q.sum(axis=1, keepdims=True)


def joint_counts(Q, given):
    """Expected number of examples with true class j and given label k: (C, C)."""
    counts = np.zeros((Q.shape[1], Q.shape[1]))
    np.add.at(counts, given, Q)
    return counts.T
