"""Class maps of asymmetric noise: the class that each class is confused with."""

import json
from pathlib import Path

import numpy as np

from trainer.errors import InputError

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
