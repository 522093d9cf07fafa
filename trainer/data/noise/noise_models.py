"""Models of label noise: each turns clean labels into noisy ones and gives a transition matrix.

NumPy only; `instance` also needs the images.
"""

import csv
import json
from pathlib import Path

import numpy as np

from trainer.data.noise import human_labels as human_file
from trainer.data.noise.transition import realised_transition
from trainer.errors import InputError, listed, printable

# Coarse label of each CIFAR-100 class, by fine label.
CIFAR100_SUPERCLASS = np.fromstring(
    "4 1 14 8 0 6 7 7 18 3 3 14 9 18 7 11 3 9 7 11 6 11 5 10 7"
    " 6 13 15 3 15 0 11 1 10 12 14 16 9 11 5 5 19 8 8 15 13 14 17 18 10"
    " 16 4 17 4 2 0 17 4 18 17 10 3 2 12 12 16 12 1 9 19 2 10 0 1 16"
    " 12 9 13 15 13 16 19 2 4 6 19 5 5 8 19 18 1 2 15 6 0 17 8 14 13",
    dtype=int,
    sep=" ",
)


def next_in_superclass(superclass):
    """{class: the next class of its superclass, after the last one the first}."""
    members = [np.flatnonzero(superclass == s) for s in np.unique(superclass)]
    return {c: after for group in members for c, after in zip(group, np.roll(group, -1))}


# Classes that look alike. Digits as in Patrini et al. (CVPR 2017) on MNIST; CIFAR as in that paper:
# truck to automobile, bird to airplane, cat to and from dog, deer to horse.
ASYMMETRIC_MAPS = {
    "digits": {2: 7, 3: 8, 5: 6, 6: 5, 7: 1},
    "cifar10": {9: 1, 2: 0, 3: 5, 5: 3, 4: 7},
    "cifar100": next_in_superclass(CIFAR100_SUPERCLASS),
}


def asymmetric_map(dataset, file):
    """{class: the class it is confused with}, from a file, else the built-in one of the dataset.

    Args:
      dataset: Manifest of the prepared dataset.
      file: JSON, {class name: class name}; "" for none.
    """
    if not file:
        if dataset["source"] not in ASYMMETRIC_MAPS:
            rule = f"must name a JSON map for datasets other than {', '.join(ASYMMETRIC_MAPS)}"
            raise InputError("--noise_file", rule, file)
        return ASYMMETRIC_MAPS[dataset["source"]]
    numbers = {name: i for i, name in enumerate(dataset["class_names"])}
    try:
        content = json.loads(Path(file).read_text()).items()
        return {numbers[a]: numbers[b] for a, b in content}
    except KeyError as error:
        rule = f"must be a JSON map from class names to class names; {error} is no class"
        raise InputError("--noise_file", rule, file) from None
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        rule = f"must be a JSON map from class names to class names ({error})"
        raise InputError("--noise_file", rule, file) from error


def read_matrix(file, class_names):
    """A transition matrix (C, C) in class order, from a CSV file.

    Names in its first row, in its first column or in both say which class is where; without any,
    rows and columns are in class order.
    """
    try:
        with open(file, newline="", encoding="utf-8-sig") as stream:
            rows = [[cell.strip() for cell in row] for row in csv.reader(stream) if any(row)]
        cells = np.array(rows, object)
    except (OSError, ValueError, csv.Error) as error:
        rule = f"must be a CSV file of numbers ({error})"
        raise InputError("--noise_file", rule, file) from error
    C, shape = len(class_names), cells.shape
    named = [size == C + 1 for size in shape]  # by a first row; by a first column
    if len(shape) != 2 or not all(size in (C, C + 1) for size in shape):
        rule = f"must have {C} rows of {C} probabilities that sum to 1, with or without class names"
        raise InputError("--noise_file", rule, f"{file}, of shape {shape}")
    first_row, first_column = cells[0, named[1] :], cells[named[0] :, 0]
    orders = [
        order_of(names, class_names, file) if has else None
        for names, has in ((first_column, named[1]), (first_row, named[0]))
    ]
    if not any(named):
        order = printable(listed(class_names))
        print(f"note: noise matrix: rows and columns are in class order, {order}")
    down, across = (a if a is not None else b for a, b in (orders, orders[::-1]))
    try:
        matrix = cells[named[0] :, named[1] :].astype(float)
    except ValueError as error:
        raise InputError("--noise_file", f"must be a CSV file of numbers ({error})", file) from None
    if not (matrix >= 0).all() or not np.allclose(matrix.sum(axis=1), 1, atol=1e-6):
        rule = f"must have {C} rows of {C} probabilities that sum to 1"
        raise InputError("--noise_file", rule, f"{file}, with sums {matrix.sum(axis=1).round(6)}")
    return matrix if not any(named) else matrix[np.ix_(down, across)]


def order_of(names, class_names, file):
    """Position of each class among `names`, which must be the class names."""
    places = {name: i for i, name in enumerate(names)}
    if set(places) != set(class_names):
        lacking = [name for name in class_names if name not in places]
        unknown = [name for name in names if name not in class_names]
        rule = f"must name each class once; missing: {listed(lacking) or 'none'}"
        received = f"{file}, with {listed(unknown) or 'repetitions'}"
        raise InputError("--noise_file", rule, received)
    return [places[name] for name in class_names]


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


def human_labels(file, name, labels, published_order):
    """Labels that people gave the images (CIFAR-N, Wei et al., ICLR 2022), by id: int32 (N,).

    Args:
      file: Label file as its authors publish it.
      name: Name of the labels, such as worse_label or noisy_label.
      labels: (N,) published labels by id.
      published_order: (N,), the place of each example in the published training set.
    """
    given, clean = human_file.read(file, name)
    if len(given) != len(labels) or (
        clean is not None and not np.array_equal(clean[published_order], labels)
    ):
        rule = f"must have the labels of the {len(labels)} examples of this dataset"
        raise InputError("--noise_file", rule, f"{file}, {len(given)} labels")
    return given[published_order]


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
