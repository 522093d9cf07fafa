"""Models of label noise: each turns clean labels into noisy ones and gives a transition matrix.

NumPy only; `instance` also needs the images.
"""

import numpy as np

from trainer.data.noise.transition import realised_transition


def uniform(labels, num_classes, ratio, rng):
    """Each label is redrawn with probability `ratio`, from all classes, its own included.

    So the noise rate is ratio (C - 1) / C (method of the IEG release).

    Args:
      labels: (N,) clean labels.
      num_classes: C.
      ratio: In [0, 1].
      rng: `numpy.random.Generator`.

    Returns:
      Given labels, int32 (N,), and the transition matrix, float64 (C, C).
    """
    redrawn = rng.random(len(labels)) < ratio
    given = np.where(redrawn, rng.integers(num_classes, size=len(labels)), labels)
    transition = np.full((num_classes, num_classes), ratio / num_classes)
    np.fill_diagonal(transition, 1 - ratio * (num_classes - 1) / num_classes)
    return given.astype(np.int32), transition


def asymmetric(labels, num_classes, ratio, rng, class_map):
    """Each label of a class in `class_map` becomes the mapped class with probability `ratio`.

    Args:
      labels: (N,) clean labels.
      num_classes: C.
      ratio: In [0, 1].
      rng: `numpy.random.Generator`.
      class_map: {class: the class it is confused with}; other classes do not change.

    Returns:
      As `uniform`.
    """
    target = np.arange(num_classes)
    target[list(class_map)] = list(class_map.values())
    flipped = rng.random(len(labels)) < ratio
    given = np.where(flipped, target[labels], labels)
    identity = np.eye(num_classes)
    return given.astype(np.int32), (1 - ratio) * identity + ratio * identity[target]


def pair(labels, num_classes, ratio, rng):
    """Each label becomes the next class, the last one the first, with probability `ratio`.

    Pair flip of Co-teaching (Han et al., NeurIPS 2018). Arguments and result as for `uniform`.
    """
    following = {c: (c + 1) % num_classes for c in range(num_classes)}
    return asymmetric(labels, num_classes, ratio, rng, following)


def matrix(labels, num_classes, ratio, rng, transition):
    """Each label is redrawn from its row of `transition` (C, C) with probability `ratio`.

    Otherwise as `uniform`.
    """
    transition = (1 - ratio) * np.eye(num_classes) + ratio * transition
    uniform, given = rng.random(len(labels)), np.empty(len(labels), np.int32)
    for c, rows in enumerate(rows_of_classes(labels, num_classes)):
        below = np.cumsum(transition[c])[:-1]
        given[rows] = np.searchsorted(below, uniform[rows], side="right")
    return given, transition


def instance(labels, num_classes, ratio, rng, features):
    """Labels that depend on the image: part-dependent noise (Xia et al., NeurIPS 2020).

    The probability q of a wrong label is normal with mean `ratio` and deviation 0.1, within
    [0, 1]; a random projection of the image for each class decides which wrong label it is.

    Args:
      labels: (N,) clean labels.
      num_classes: C.
      ratio: In [0, 1].
      rng: `numpy.random.Generator`.
      features: (N, S), the images.

    Returns:
      Given labels, int32 (N,), and the mean over each class of the probabilities, (C, C).
    """
    q = within_unit(ratio, 0.1, len(labels), rng)
    given, transition = np.array(labels, np.int32), np.eye(num_classes)
    for c, rows in enumerate(rows_of_classes(labels, num_classes)):
        projection = rng.standard_normal((features.shape[1], num_classes))
        logits = features[rows].astype(np.float64) @ projection
        logits[:, c] = -np.inf
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p *= q[rows, np.newaxis] / p.sum(axis=1, keepdims=True)
        p[:, c] = 1 - q[rows]
        given[rows] = draw(p, rng)
        if len(rows):
            transition[c] = p.mean(axis=0)
    return given, transition


def replaced(labels, num_classes, ratio, rng, others):
    """Each label is replaced by the one in `others` (N,) with probability `ratio`; as `uniform`.

    The transition matrix is the one that is realised with a ratio of 1, weighted by `ratio`.
    """
    given = np.where(rng.random(len(labels)) < ratio, others, labels).astype(np.int32)
    identity = np.eye(num_classes)
    return given, (1 - ratio) * identity + ratio * realised_transition(labels, others, num_classes)


def rows_of_classes(labels, num_classes):
    """For each class the positions of its examples, ascending."""
    ends = np.cumsum(np.bincount(labels, minlength=num_classes))
    return np.split(np.argsort(labels, kind="stable"), ends[:-1])


def within_unit(mean, deviation, count, rng):
    """`count` normal draws, those outside [0, 1] drawn again."""
    drawn = np.full(count, -1.0)
    while (outside := (drawn < 0) | (drawn > 1)).any():
        drawn[outside] = rng.normal(mean, deviation, outside.sum())
    return drawn


def draw(probabilities, rng):
    """A class for each row of (N, C): int32 (N,)."""
    below = np.cumsum(probabilities, axis=1) <= rng.random((len(probabilities), 1))
    return np.minimum(below.sum(axis=1), probabilities.shape[1] - 1).astype(np.int32)
