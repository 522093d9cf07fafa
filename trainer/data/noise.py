"""Label noise: which labels are given instead of the clean ones. NumPy only.

<noisy_labels>/
  labels.npy       int32 (N,), the given label of each training example, by id
  transition.npy   float64 (C, C), T[i, j] = P(given j | clean i); rows sum to 1
  manifest.json    noise, noise_ratio, seed, wrong_labels (share of labels that are wrong; null
                   where the truth is not known of all)
"""

from pathlib import Path

import numpy as np

from trainer import manifest
from trainer.config import NOISES, check_choice, check_range
from trainer.data import records
from trainer.errors import InputError

STREAM = 1  # keeps these draws apart from others of the same seed

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
    """{class: the next one of its superclass, the first after the last}."""
    members = [np.flatnonzero(superclass == s) for s in np.unique(superclass)]
    return {c: after for group in members for c, after in zip(group, np.roll(group, -1))}


# Classes that look alike. Digits as in Patrini et al. (CVPR 2017) on MNIST; CIFAR as they have it:
# truck to automobile, bird to airplane, cat to and from dog, deer to horse.
ASYMMETRIC_MAPS = {
    "digits": {2: 7, 3: 8, 5: 6, 6: 5, 7: 1},
    "cifar10": {9: 1, 2: 0, 3: 5, 5: 3, 4: 7},
    "cifar100": next_in_superclass(CIFAR100_SUPERCLASS),
}


def asymmetric_map(dataset):
    """The map of a dataset; InputError if there is none."""
    if dataset not in ASYMMETRIC_MAPS:
        rule = f"asymmetric is for {', '.join(ASYMMETRIC_MAPS)}"
        raise InputError("--noise", rule, f"asymmetric for {dataset}")
    return ASYMMETRIC_MAPS[dataset]


def uniform(labels, num_classes, ratio, rng):
    """Each label is redrawn with probability `ratio`, from all classes, its own included.

    So a share of ratio (C - 1) / C of the labels ends up wrong (method of the IEG release).

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
    """Each label of a class in `class_map` becomes its image with probability `ratio`.

    Args:
      labels: (N,) clean labels.
      num_classes: C.
      ratio: In [0, 1].
      rng: `numpy.random.Generator`.
      class_map: {class: the class it is taken for}; other classes stay as they are.

    Returns:
      As `uniform`.
    """
    target = np.arange(num_classes)
    target[list(class_map)] = list(class_map.values())
    flipped = rng.random(len(labels)) < ratio
    given = np.where(flipped, target[labels], labels)
    identity = np.eye(num_classes)
    return given.astype(np.int32), (1 - ratio) * identity + ratio * identity[target]


def inject(dataset_path, output_path, noise, noise_ratio, seed):
    """Writes the noisy labels for the train split of a prepared dataset.

    Args:
      dataset_path: Directory of a prepared dataset.
      output_path: Directory to write.
      noise: none, uniform or asymmetric; on top of what is wrong in the dataset.
      noise_ratio: In [0, 1]; see the function of that noise.
      seed: The same seed gives the same labels.

    Returns:
      The manifest.
    """
    check_choice("noise", noise, NOISES)
    check_range("noise_ratio", noise_ratio, 0, 1)
    dataset = records.read_manifest(dataset_path)
    labels, num_classes = records.read_labels(dataset_path, "train"), len(dataset["class_names"])
    rng = np.random.default_rng((seed, STREAM))
    if noise == "none":
        given, transition = labels, np.eye(num_classes)
    elif noise == "uniform":
        given, transition = uniform(labels, num_classes, noise_ratio, rng)
    else:
        class_map = asymmetric_map(dataset["source"])
        given, transition = asymmetric(labels, num_classes, noise_ratio, rng, class_map)
    clean = records.read_clean_labels(dataset_path)
    facts = {"noise": noise, "noise_ratio": noise_ratio, "seed": seed}
    facts["wrong_labels"] = float(np.mean(given != clean)) if np.all(clean >= 0) else None
    directory = manifest.start(output_path)
    np.save(directory / "labels.npy", given)
    np.save(directory / "transition.npy", transition)
    return manifest.finish(
        directory, manifest.NOISY_LABELS, {manifest.PREPARED_DATASET: dataset}, **facts
    )


def read(path, dataset):
    """Given labels, int32 (N,), and the manifest.

    Raises:
      InputError: The artifact is missing, half-written, or made for another dataset.
    """
    noisy = manifest.read(path, manifest.NOISY_LABELS)
    manifest.check_parent(noisy, dataset)
    return np.load(Path(path) / "labels.npy"), noisy
