"""From what a network says of images to how likely each of their labels is wrong.

P(true j | image, given k) is proportional to P(j | image) T[j, k]. P comes from the network,
calibrated on trusted images that it was not trained on; T, the noise, from the labels themselves,
by expectation and maximisation (Dawid and Skene, 1979, with one annotator).
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from trainer.detection import rows_of_shares

BIAS_PENALTY = 0.05
STEPS = 5  # more of them follow the network's own errors; chosen in docs/results/audit.md
PRIOR = 1.0  # of uniform noise, in mean class sizes


def calibration(P, labels):
    """Scale and biases that make predictions of held-out images most likely.

    Bias-corrected temperature scaling: Alexandari et al., "Maximum Likelihood with Bias-Corrected
    Calibration is Hard-To-Beat at Label Shift Adaptation" (ICML 2020).

    Args:
      P: (M, C) probabilities.
      labels: int (M,), the truth.

    Returns:
      1 / temperature, and biases (C,).
    """
    L, one_hot = np.log(P + 1e-9), np.eye(P.shape[1])[labels]

    def loss(parameters):
        log_scale, b = parameters[0], parameters[1:]
        log_p = log_softmax(np.exp(log_scale) * L + b, axis=1)
        slope = (np.exp(log_p) - one_hot) / len(L)
        gradient = [np.exp(log_scale) * (slope * L).sum(), *slope.sum(0)]
        gradient[1:] += 2 * BIAS_PENALTY * b / len(b)
        return -(one_hot * log_p).sum() / len(L) + BIAS_PENALTY * np.mean(b**2), gradient

    found = minimize(loss, np.zeros(1 + P.shape[1]), jac=True, method="L-BFGS-B").x
    return np.exp(found[0]), found[1:]


def calibrated(P, scale, biases):
    return softmax(scale * np.log(P + 1e-9) + biases, axis=1)


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
