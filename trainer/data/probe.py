"""The probe: the few trusted examples, taken out of training. NumPy only.

<probe_split>/
  probe_ids.npy    int64 (M,), in class order 0, 1, .., C-1, 0, 1, ..: every batch whose size
                   is a multiple of C is balanced
  manifest.json    per_class, seed
"""

from pathlib import Path

import numpy as np

from trainer import manifest
from trainer.config import check_range
from trainer.data import records
from trainer.errors import InputError

STREAM = 2  # keeps these draws apart from others of the same seed


def choose(labels, num_classes, per_class, rng):
    """Draws `per_class` positions of every class, without replacement.

    Args:
      labels: (N,) clean labels.
      num_classes: C.
      per_class: At least 0, at most the size of the smallest class.
      rng: `numpy.random.Generator`.

    Returns:
      int64 (per_class * C,), class-interleaved.

    Raises:
      InputError: `per_class` is out of range; the message names the classes that are too small.
    """
    check_range("probe_per_class", per_class, 0)
    sizes = np.bincount(labels, minlength=num_classes)
    too_small = ", ".join(f"class {c} has {sizes[c]}" for c in np.flatnonzero(sizes < per_class))
    if per_class and not len(labels):
        rule = "must be 0 where no label is trusted; --trusted or --clean_label_column names such"
        raise InputError("--probe_per_class", rule, per_class)
    if too_small:
        rule = f"must be at most the trusted examples of the smallest class; {too_small}"
        raise InputError("--probe_per_class", rule, per_class)
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    first = np.cumsum(sizes) - sizes
    return by_class[first + np.arange(per_class)[:, np.newaxis]].reshape(-1)


def split(dataset_path, output_path, per_class, seed):
    """Writes the probe split of a prepared dataset. Returns the manifest."""
    dataset = records.read_manifest(dataset_path)
    trusted, num_classes = records.read_trusted_ids(dataset_path), len(dataset["class_names"])
    labels = records.read_clean_labels(dataset_path)[trusted]
    rng = np.random.default_rng((seed, STREAM))
    probe_ids = trusted[choose(labels, num_classes, per_class, rng)]
    directory = manifest.start(output_path)
    np.save(directory / "probe_ids.npy", probe_ids)
    facts = {"per_class": per_class, "seed": seed}
    return manifest.finish(
        directory, manifest.PROBE_SPLIT, {manifest.PREPARED_DATASET: dataset}, **facts
    )


def read(path, dataset):
    """Probe ids, int64 (M,), training ids, int64 (N - M,) ascending, and the manifest.

    Raises:
      InputError: The artifact is missing, half-written, or made for another dataset.
    """
    probe = manifest.read(path, manifest.PROBE_SPLIT)
    manifest.check_parent(probe, dataset)
    probe_ids = np.load(Path(path) / "probe_ids.npy")
    train_ids = np.setdiff1d(np.arange(dataset["num_examples"]["train"]), probe_ids)
    return probe_ids, train_ids, probe
