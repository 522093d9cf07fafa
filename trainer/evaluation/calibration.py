"""Calibration: confidence that matches accuracy."""

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax

BINS = 15
BIAS_PENALTY, MATRIX_PENALTY = 0.05, 1.0  # chosen in docs/results/audit.md


def fit_temperature(z, labels):
    """The T in [0.05, 20] for which logits z / T (M, C) give the labels (M,) the most likelihood.

    Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017).
    """
    z, bounds = np.asarray(z, float), np.log([0.05, 20])
    found = minimize_scalar(lambda log_t: nll(z / np.exp(log_t), labels), bounds=bounds)
    return float(np.exp(found.x))


def fit_temperature_under_noise(z, labels, trusted):
    """The T to divide logits z (M, C) by, if some labels have uniform noise.

    T and the noise rate are estimated together, by maximum likelihood.

    Args:
      z: (M, C) logits of out-of-sample predictions.
      labels: int (M,).
      trusted: bool (M,), labels that are known to be true.

    Returns:
      The temperature, in [0.05, 20], and the noise rate of the other labels.
    """
    M, C = z.shape

    def loss(parameters):
        p = softmax(z / np.exp(parameters[0]), axis=1)[np.arange(M), labels]
        rate = np.where(trusted, 0, parameters[1])
        return -np.log((1 - rate) * p + rate / (C - 1) * (1 - p) + 1e-12).mean()

    bounds = np.log([0.05, 20]), (0, (C - 1) / C)
    starts = [(log_t, rate) for log_t in np.log([0.1, 0.5, 2]) for rate in (0.05, 0.3)]
    found = (minimize(loss, start, method="Nelder-Mead", bounds=bounds) for start in starts)
    best = min(found, key=lambda result: result.fun)
    return float(np.exp(best.x[0])), float(best.x[1])


def nll(z, labels):
    """Mean negative log-likelihood of labels (M,) under logits (M, C)."""
    return float(-log_softmax(z, axis=1)[np.arange(len(labels)), labels].mean())


def reliability_bins(P, labels):
    """Confidence and accuracy in equal bins of confidence (Guo et al., ICML 2017).

    Args:
      P: (M, C) probabilities.
      labels: int (M,).

    Returns:
      Mean confidence, accuracy and number of examples of each bin, lists of BINS; 0 in empty ones.
    """
    confidence, hits = P.max(axis=1), P.argmax(axis=1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    sums = (np.bincount(bins, values, BINS) for values in (confidence, hits))
    return *((total / np.maximum(count, 1)).tolist() for total in sums), count.tolist()


def ece_and_nll(z, labels):
    """Expected calibration error and negative log-likelihood of logits z (M, C)."""
    confidence, accuracy, count = np.array(reliability_bins(softmax(z, axis=1), labels))
    ece = (count * np.abs(confidence - accuracy)).sum() / count.sum()
    return {"ece": float(ece), "nll": nll(z, labels)}


def fit_dirichlet(P, labels):
    """Fits softmax((s I + D) log P + b) to the true labels of images held out from training.

    Dirichlet calibration with off-diagonal and intercept regularisation: Kull et al., "Beyond
    temperature scaling" (NeurIPS 2019).

    Args:
      P: (M, C) probabilities.
      labels: int (M,), the true ones.

    Returns:
      A function from probabilities (N, C) to calibrated ones.
    """
    M, C = P.shape
    one_hot = np.eye(C)[labels]

    def unpack(parameters):
        return np.exp(parameters[0]), parameters[1 : 1 + C], parameters[1 + C :].reshape(C, C)

    def logits(P, s, b, D):
        return s * np.log(P + 1e-9) + np.log(P + 1e-9) @ D + b

    def loss(parameters):
        s, b, D = unpack(parameters)
        log_p = log_softmax(logits(P, s, b, D), axis=1)
        slope, L = (np.exp(log_p) - one_hot) / M, np.log(P + 1e-9)
        penalty = (BIAS_PENALTY * (b**2).sum() + MATRIX_PENALTY * (D**2).sum()) / C
        gradient = (
            [s * (slope * L).sum()],
            slope.sum(0) + 2 * BIAS_PENALTY * b / C,
            (L.T @ slope + 2 * MATRIX_PENALTY * D / C).ravel(),
        )
        return penalty - (one_hot * log_p).sum() / M, np.concatenate(gradient)

    fitted = unpack(minimize(loss, np.zeros(1 + C + C * C), jac=True, method="L-BFGS-B").x)
    return lambda P: softmax(logits(P, *fitted), axis=1)
