"""Whether a network is as sure as it is right, and how to make it so."""

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax

BINS = 15
BIAS_PENALTY = 0.05


def temperature(z, labels):
    """What to divide logits z (M, C) by so that the labels (M,) are most likely, in [0.05, 20].

    Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017).
    """
    z, bounds = np.asarray(z, float), np.log([0.05, 20])
    found = minimize_scalar(lambda log_t: nll(z / np.exp(log_t), labels), bounds=bounds)
    return float(np.exp(found.x))


def nll(z, labels):
    """Mean negative log-likelihood of labels (M,) under logits (M, C)."""
    return float(-log_softmax(z, axis=1)[np.arange(len(labels)), labels].mean())


def reliability(P, labels):
    """Confidence and accuracy in equal bins of confidence (Guo et al., ICML 2017).

    Args:
      P: (M, C) probabilities.
      labels: int (M,).

    Returns:
      Mean confidence, accuracy and number of examples of each bin, lists of BINS; 0 in empty ones.
    """
    confidence, right = P.max(axis=1), P.argmax(axis=1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    sums = (np.bincount(bins, values, BINS) for values in (confidence, right))
    return *((total / np.maximum(count, 1)).tolist() for total in sums), count.tolist()


def measured(z, labels):
    """Expected calibration error and negative log-likelihood of logits z (M, C)."""
    confidence, accuracy, count = np.array(reliability(softmax(z, axis=1), labels))
    ece = (count * np.abs(confidence - accuracy)).sum() / count.sum()
    return {"ece": float(ece), "nll": nll(z, labels)}


def bias_corrected(P, labels):
    """Scale and biases that make the truth most likely from probabilities of held-out images.

    Bias-corrected temperature scaling: Alexandari et al., "Maximum Likelihood with Bias-Corrected
    Calibration is Hard-To-Beat at Label Shift Adaptation" (ICML 2020).

    Args:
      P: (M, C) probabilities.
      labels: int (M,), the truth.

    Returns:
      A function from probabilities (N, C) to calibrated ones.
    """
    L, one_hot = np.log(P + 1e-9), np.eye(P.shape[1])[labels]

    def loss(parameters):
        scale, b = np.exp(parameters[0]), parameters[1:]
        log_p = log_softmax(scale * L + b, axis=1)
        slope = (np.exp(log_p) - one_hot) / len(L)
        gradient = np.array([scale * (slope * L).sum(), *slope.sum(0)])
        gradient[1:] += 2 * BIAS_PENALTY * b / len(b)
        return -(one_hot * log_p).sum() / len(L) + BIAS_PENALTY * np.mean(b**2), gradient

    log_scale, *biases = minimize(loss, np.zeros(1 + P.shape[1]), jac=True, method="L-BFGS-B").x
    return lambda P: softmax(np.exp(log_scale) * np.log(P + 1e-9) + biases, axis=1)
