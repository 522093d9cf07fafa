"""Leave-one-out predictions in closed form: each example is predicted from all others.

Kernel ridge regression on simple features, in seconds. It serves small sets, whose labels a network
memorises, wrong ones too, because it sees each image so often. N audited examples, C classes, T
test images.
"""

import numpy as np
from scipy.special import softmax
from sklearn.metrics.pairwise import rbf_kernel

from trainer.audit import shapes_and_colours
from trainer.audit.evidence import TRUSTED, Evidence
from trainer.data import records
from trainer.evaluation import calibration

OTHER_EXAMPLES = "all other examples, because the run has seen its few images too often"

MOST = 5_000  # examples; a matrix of all their pairs is inverted
WIDTH, RIDGE = 0.5, 1.0  # of the kernel; docs/method.md names the data they were chosen on
SCALE = 2.0  # of the scores, as logits, so that a temperature within its bounds fits


def evidence_from_others(dataset_path, labels, ids, run, true=None):
    """Predictions for each example from all others, with a confidence that fits the given labels.

    Args:
      dataset_path: Directory of the prepared dataset.
      labels: int32, given labels by id.
      ids: int64 (N,), of the audited examples; the others are trusted.
      run: `Evidence` of the run, which has its manifest and coefficients.
      true: int32, labels of trusted examples by id, -1 where an example has none; the true labels
        of the dataset unless given.

    Returns:
      `Evidence`, and scores of test images, (T, C).
    """
    true = records.read_clean_labels(dataset_path) if true is None else true
    trusted_ids, C = np.setdiff1d(np.flatnonzero(true >= 0), ids), run.P.shape[1]
    order = np.concatenate([ids, trusted_ids])
    known = np.concatenate([labels[ids], true[trusted_ids]])
    trusted = np.arange(len(order)) >= len(ids)
    scores, tested = class_scores(dataset_path, order, known, C)
    temperature, _ = calibration.fit_temperature_under_noise(scores, known, trusted)
    P = softmax(scores[~trusted] / temperature, axis=1)
    alone = (np.bincount(known) == 1)[labels[ids]]
    P[alone] = np.eye(C)[labels[ids][alone]]
    hits, warnings = scores.argmax(axis=1) == known, []
    if alone.any():
        names = np.array(records.read_manifest(dataset_path)["class_names"])[labels[ids][alone]]
        warnings = [
            f"class {', '.join(names)} has only one image, so no other image can predict it"
        ]
    evidence = Evidence(
        P,
        run.runs,
        predicted_by=OTHER_EXAMPLES,
        coefficients=run.coefficients,
        captions=run.captions,
        agreement=hits[~trusted].mean(),
        accuracy=hits[trusted].mean() if trusted.sum() >= TRUSTED else None,
        warnings=warnings,
        tested=softmax(tested / temperature, axis=1),
    )
    return evidence, tested


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
    """Predictions of Y (N, C) from Z (N, D) without the example itself, and for `others` (T, D).

    The former are y_i - [G (y - mean)]_i / G_ii, where G is the inverse of kernel plus ridge
    (Rifkin and Lippert, "Notes on Regularized Least Squares", 2007).
    """
    gamma, mean = WIDTH / Z.shape[1], Y.mean(axis=0)
    G = np.linalg.inv(rbf_kernel(Z, gamma=gamma) + RIDGE * np.eye(len(Z)))
    weights = G @ (Y - mean)
    left_out = Y - weights / np.diag(G)[:, np.newaxis]
    return left_out, rbf_kernel(others, Z, gamma=gamma) @ weights + mean
