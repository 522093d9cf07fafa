"""What all other examples say of an example, in closed form.

Kernel ridge regression on simple features: in seconds, for sets of which a network has seen each
image so often that it repeats the labels, the wrong ones too.
"""

import numpy as np
from sklearn.metrics.pairwise import rbf_kernel

from trainer.audit import shapes_and_colours

MOST = 5_000  # examples; a matrix of all their pairs is inverted
WIDTH, RIDGE = 0.5, 1.0  # of the kernel; docs/method.md has what they were chosen on
SCALE = 2.0  # of the scores, as logits, so that a temperature within its bounds fits


def class_scores(dataset_path, ids, labels, num_classes):
    """Scores of each example by all others, and of test images by all examples.

    Args:
      dataset_path: Directory of a prepared dataset.
      ids: int64 (N,), of training examples.
      labels: int (N,), theirs.
      num_classes: C.

    Returns:
      float64 (N, C) and (T, C), T test images; logits up to a temperature.
    """
    Z = shapes_and_colours.read_descriptors(dataset_path, "train")[ids]
    tested = shapes_and_colours.read_descriptors(dataset_path, "test")
    mean, deviation = Z.mean(axis=0), Z.std(axis=0) + 1e-6
    Z, tested = (Z - mean) / deviation, (tested - mean) / deviation
    found = kernel_regression(Z, np.eye(num_classes)[labels], tested)
    return tuple(SCALE * part for part in found)


def kernel_regression(Z, Y, others):
    """Predictions of Y (N, C) from Z (N, D) without the example itself, and of `others` (T, D).

    The former are y_i - [G (y - mean)]_i / G_ii, where G is the inverse of the kernel and its ridge
    (Rifkin and Lippert, "Notes on Regularized Least Squares", 2007).
    """
    gamma, mean = WIDTH / Z.shape[1], Y.mean(axis=0)
    G = np.linalg.inv(rbf_kernel(Z, gamma=gamma) + RIDGE * np.eye(len(Z)))
    weights = G @ (Y - mean)
    left_out = Y - weights / np.diag(G)[:, np.newaxis]
    return left_out, rbf_kernel(others, Z, gamma=gamma) @ weights + mean
