"""Cross-fitting: the true class of each example, predicted by a model that has not seen it.

A linear model on embeddings learns by forward correction from all folds but one and predicts that
one. EM estimates T from these out-of-fold predictions: a model that has seen a label believes it,
and T from its predictions would be too clean. A temperature corrects that a regularised model is
not confident enough.

N noisy examples, M trusted ones, n = N + M, D embedding, C classes, K folds.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import minimize, minimize_scalar
from threadpoolctl import threadpool_limits

from trainer.data.noise.transition import normalised_rows, uniform_noise

FOLDS = 5
ROUNDS, EM_STEPS = 4, 30
STEPS = 20  # of L-BFGS in a round
MOST_FEATURES = 512  # principal components; the others cost time and hold little
LEAST_VARIANCE = 0.01  # as a part of the mean one: a number that hardly varies is not blown up
REGULARISERS = (3.0, 1.0, 0.3, 0.1, 0.03)
CONFIDENCES = (-1.0, 2.0)  # range of the logarithm of 1 / temperature
SHARPER = 1.3  # factor of the best one; annotators err where a model errs, which hides wrong labels
LOWEST = 1e-12


@dataclass(frozen=True)
class CrossFit:
    """What cross-fitting finds about N noisy examples and M trusted ones.

    Attributes:
      transition: float64 (C, C), T[i, j] = P(given j | true i).
      probabilities: float64 (N, C), P(true | x), out of fold.
      posterior: float64 (N, C), P(true | x, given label), out of fold.
      loss: Of held-out labels, a mean in nats: noisy ones, through T, plus trusted ones.
      regulariser: Factor of half the sum of the squared weights, the best one for that loss.
      joint: float64 (C, C), J[i, j] = P(true i, given j).
      trusted_accuracy: Fraction of the trusted examples that are predicted out of fold, or NaN.
      trusted_probabilities: float64 (M, C), P(true | x), out of fold.
    """

    transition: np.ndarray
    probabilities: np.ndarray
    posterior: np.ndarray
    loss: float
    regulariser: float
    joint: np.ndarray
    trusted_accuracy: float
    trusted_probabilities: np.ndarray


def cross_fit(embeddings, labels, trusted, trusted_labels, num_classes, prior=0.04, seed=0):
    """Predicts the true class of each noisy example out of fold.

    Args:
      embeddings: (N, D).
      labels: int (N,), as given.
      trusted: (M, D); M may be 0.
      trusted_labels: int (M,), clean.
      num_classes: C.
      prior: Weight of uniform noise in T, in mean class sizes.
      seed: Of the folds.

    Returns:
      `CrossFit`.
    """
    x = principal_components(np.concatenate([embeddings, trusted]))
    y, is_trusted = np.concatenate([labels, trusted_labels]), np.arange(len(x)) >= len(labels)
    fold = folds(y + num_classes * is_trusted, seed)
    tried, weights = [], {}
    for regulariser in REGULARISERS:
        found, weights = expectation_maximisation(
            x, y, is_trusted, fold, num_classes, prior, regulariser, weights
        )
        tried.append(found)
        losses = [each.loss for each in tried]
        if len(tried) > 2 and min(losses[-2:]) > min(losses[:-2]):
            break  # twice worse: from here on it memorises labels
    return min(tried, key=lambda each: each.loss)


def principal_components(x):
    """The first components of the standardised embeddings, float32 (n, at most MOST_FEATURES)."""
    x = np.asarray(x, np.float32)
    variance, D = x.var(axis=0), x.shape[1]
    x = (x - x.mean(axis=0)) / np.sqrt(np.maximum(variance, LEAST_VARIANCE * variance.mean()))
    kept = [max(D - MOST_FEATURES, 0), D - 1]
    return x @ eigh(x.T @ x, subset_by_index=kept)[1]


def folds(groups, seed):
    """The fold of each example, int (n,); every group is spread evenly over the folds."""
    order = np.lexsort([np.random.default_rng(seed).random(len(groups)), groups])
    fold = np.empty(len(groups), int)
    fold[order] = np.arange(len(groups)) % FOLDS
    return fold


def expectation_maximisation(x, y, is_trusted, fold, num_classes, prior, regulariser, weights):
    """Cross-fits with one regulariser.

    Args:
      x: float32 (n, D).
      y: int (n,), given labels, and clean ones of the trusted examples.
      is_trusted: bool (n,).
      fold: int (n,).
      num_classes: C.
      prior: See `cross_fit`.
      regulariser: See `CrossFit`.
      weights: Those of each fold to start from, {fold: (D + 1, C)}.

    Returns:
      The result, and the weights of each fold.
    """
    C, noisy = num_classes, ~is_trusted
    T = uniform_noise(0.5 * (C - 1) / C, C)
    z = np.zeros((len(x), C))
    for _ in range(ROUNDS):
        likelihood = np.where(is_trusted[:, np.newaxis], np.eye(C)[y], T[:, y].T)
        weights = fit_each(fold, x, np.maximum(likelihood, LOWEST), regulariser, weights)
        for k, w in weights.items():
            z[fold == k] = x[fold == k] @ w[:-1] + w[-1]
        z -= z.max(axis=1, keepdims=True)  # exponentials stay in range
        z_noisy, z_trusted = z[noisy], z[is_trusted]
        for _ in range(EM_STEPS):
            factor = confidence(z_noisy, y[noisy], z_trusted, y[is_trusted], T)
            posterior = probabilities(np.exp(factor * z_noisy) * T[:, y[noisy]].T)
            T = transition(joint_probability(posterior, y[noisy]), prior)
    loss, accuracy = loss_through(factor * z_noisy, T[:, y[noisy]].T), np.nan
    if is_trusted.any():
        one_hot = np.eye(C)[y[is_trusted]]
        loss += cross_entropy(one_hot, factor * z_trusted) / len(one_hot)
        accuracy = np.mean(z_trusted.argmax(axis=1) == y[is_trusted])
    P, P_trusted = (probabilities(np.exp(factor * each)) for each in (z_noisy, z_trusted))
    J = joint_probability(posterior, y[noisy])
    return CrossFit(T, P, posterior, loss, regulariser, J, accuracy, P_trusted), weights


def fit_each(fold, x, likelihood, regulariser, start):
    """The weights (D + 1, C) by fold, of a model that has not seen the fold; see `fit`."""

    def fit_without(k):
        rest = fold != k
        return k, fit(x[rest], likelihood[rest], regulariser, start.get(k))

    # A thread for each fold: those of BLAS hinder each other where other programs run.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(pool.map(fit_without, np.unique(fold)))


def fit(x, likelihood, regulariser, start=None):
    """The linear model (D + 1, C) that maximises mean_i log sum_j P(j | x_i) L_ij - R.

    Args:
      x: float32 (n, D).
      likelihood: (n, C), L_ij = P(label of i | true j); of each example at least LOWEST.
      regulariser: R is half of it times the squares of the weights.
      start: Where to start; zeros unless given. The last row is the bias.
    """
    n, D, C = len(x), x.shape[1], likelihood.shape[1]
    likelihood = likelihood.astype(np.float32)

    def loss(flat):
        w = flat.reshape(D + 1, C).astype(np.float32)
        z = x @ w[:-1] + w[-1]
        P = probabilities(np.exp(z - z.max(axis=1, keepdims=True)))
        joint = P * likelihood
        evidence = joint.sum(axis=1, keepdims=True)
        dz = (P - joint / evidence) / n
        gradient = np.concatenate([x.T @ dz + regulariser * w[:-1], dz.sum(axis=0)[None]])
        value = regulariser / 2 * np.sum(w[:-1] ** 2) - np.log(evidence).mean(dtype=np.float64)
        return float(value), gradient.ravel().astype(np.float64)

    start = np.zeros((D + 1) * C) if start is None else start.ravel()
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    return found.x.reshape(D + 1, C)


def confidence(z, y, z_trusted, y_trusted, T):
    """1 / temperature of logits, SHARPER than noisy labels y and trusted ones ask for.

    Too little confidence hides wrong labels, and costs more than too much.

    Args:
      z: (N, C), 0 at the largest of each row.
      y: int (N,).
      z_trusted: (M, C), likewise.
      y_trusted: int (M,).
      T: (C, C).
    """
    likelihood = T[:, y].T
    found = best_confidence(lambda factor: loss_through(factor * z, likelihood))
    if len(y_trusted):
        target = smoothed(y_trusted, z.shape[1])
        by_trusted = best_confidence(lambda factor: cross_entropy(target, factor * z_trusted))
        found = max(found, by_trusted)
    return SHARPER * found


def best_confidence(loss):
    """The factor of the logits with the lowest loss."""
    found = minimize_scalar(lambda log: loss(np.exp(log)), bounds=CONFIDENCES, method="bounded")
    return np.exp(found.x)


def smoothed(y, C):
    """Targets (m, C) of m labels by Platt (1999): few that are all predicted say less than 1."""
    m = len(y)
    target = np.full((m, C), 1 / (m + 2) / (C - 1))
    target[np.arange(m), y] = (m + 1) / (m + 2)
    return target


def probabilities(scores):
    """Rows (n, C) proportional to the scores, which sum to 1."""
    return scores / scores.sum(axis=1, keepdims=True)


def cross_entropy(target, z):
    """A sum in nats, of targets (m, C) and logits z (m, C) that are 0 at the largest of a row."""
    return np.sum(target * (np.log(np.exp(z).sum(axis=1, keepdims=True)) - z))


def loss_through(z, likelihood):
    """Mean loss in nats of labels with these likelihoods (n, C), from logits z as above."""
    scores = np.exp(z)
    given = np.einsum("ij,ij->i", scores, likelihood)
    return np.mean(np.log(scores.sum(axis=1)) - np.log(given))


def joint_probability(posterior, y):
    """J (C, C), J[i, j] = P(true i, given j), from the posterior (N, C) of given labels y."""
    return posterior.T @ np.eye(posterior.shape[1])[y] / len(y)


def transition(joint, prior):
    """T (C, C) from J, as `forward_correction.TransitionMatrix` has it."""
    C = len(joint)
    accuracy = min(np.trace(joint), 1 - 1e-6)
    information = max((C * accuracy - 1) / (C - 1), 0)
    return normalised_rows(information**2 * joint + prior / C * uniform_noise(1 - accuracy, C))
