"""Transition matrices: T[i, j] = P(given j | true i), float64 (C, C); rows sum to 1."""

import numpy as np


def realised_transition(labels, given, num_classes):
    """Fraction of examples of class i that are given j; identity for a class without examples.

    Args:
      labels: int (N,), true or published.
      given: int (N,).
      num_classes: C.
    """
    counts = np.zeros((num_classes, num_classes))
    np.add.at(counts, (labels, given), 1)
    return normalised_rows(counts)


def uniform_noise(rate, num_classes):
    """T of labels that are wrong at this rate, whatever the class."""
    T = np.full((num_classes, num_classes), rate / (num_classes - 1))
    np.fill_diagonal(T, 1 - rate)
    return T


def normalised_rows(counts):
    """Rows (C, C) that sum to 1, of counts >= 0; a row of zeros becomes that of the identity."""
    sums = counts.sum(axis=1, keepdims=True)
    return np.where(sums > 0, counts / np.maximum(sums, 1e-300), np.eye(len(counts)))
