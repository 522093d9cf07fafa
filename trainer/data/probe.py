"""The probe: the few trusted examples, taken out of training. NumPy only.

<probe_split>/
  probe_ids.npy    int64 (M,), in class order 0, 1, .., C-1, 0, 1, ..: every batch whose size
                   is a multiple of C is balanced
  spare_ids.npy    int64, trusted examples beyond the probe, where the data name them: neither
                   trained on nor audited; the first spare_per_class * C are in class order
  reviewed_ids.npy, dropped_ids.npy, decided_test.npy   after a review, see `trainer.audit.review`
  manifest.json    per_class, hold_ratio, seed, spare_per_class
"""

from pathlib import Path

import numpy as np

from trainer import artifacts
from trainer.data import records
from trainer.data.streams import Stream
from trainer.errors import InputError, listed
from trainer.settings.fields import check_range

SPARE, REVIEWED, DROPPED = "spare_ids.npy", "reviewed_ids.npy", "dropped_ids.npy"
DECIDED_TEST = "decided_test.npy"
FACTS = ("per_class", "hold_ratio", "seed", "spare_per_class")


def choose(labels, class_names, per_class, rng):
    """Draws `per_class` positions of every class, without replacement.

    Args:
      labels: (N,) clean labels.
      class_names: The C names.
      per_class: At least 0, at most the size of the smallest class.
      rng: `numpy.random.Generator`.

    Returns:
      int64 (per_class * C,), class-interleaved.

    Raises:
      InputError: `per_class` is out of range; the message names the classes that are too small.
    """
    check_range("probe_per_class", per_class, 0)
    sizes = np.bincount(labels, minlength=len(class_names))
    small = np.flatnonzero(sizes < per_class)
    too_small = listed([f"class {class_names[c]} has {sizes[c]}" for c in small])
    if per_class and not len(labels):
        rule = "must be 0 without trusted images; name some by --trusted or --clean_label_column"
        raise InputError("--probe_per_class", rule, per_class)
    if too_small:
        rule = "must be at most the trusted examples of the smallest class, or give more of these"
        rule = f"{rule}; {too_small}"
        raise InputError("--probe_per_class", rule, per_class)
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    first = np.cumsum(sizes) - sizes
    return by_class[first + np.arange(per_class)[:, np.newaxis]].reshape(-1)


def split(dataset_path, output_path, per_class, seed, hold_ratio=0.0):
    """Writes the probe split of a prepared dataset.

    Args:
      dataset_path: Directory of a prepared dataset.
      output_path: Directory to write.
      per_class: Trusted examples of each class.
      seed: The same seed gives the same examples.
      hold_ratio: Fraction of the training examples, in [0, 1]; above 0, it replaces `per_class`,
        rounded down to the same number of each class.

    Returns:
      The manifest.
    """
    dataset = records.read_manifest(dataset_path)
    trusted, class_names = records.read_trusted_ids(dataset_path), dataset["class_names"]
    labels = records.read_clean_labels(dataset_path)[trusted]
    if hold_ratio:
        per_class = share_of_each_class(hold_ratio, dataset)
    rng = np.random.default_rng((seed, Stream.PROBE))
    probe_ids = trusted[choose(labels, class_names, per_class, rng)]
    facts = {"per_class": per_class, "hold_ratio": hold_ratio, "seed": seed}
    spare_ids = np.zeros(0, np.int64)
    if records.trusted_are_named(dataset_path):
        spare_ids, facts["spare_per_class"] = choose_spare(
            dataset_path, probe_ids, class_names, rng
        )
    return write(output_path, dataset, probe_ids, spare_ids, **facts)


def write(output_path, dataset, probe_ids, spare_ids, **facts):
    """Writes a probe split of these ids, see above. Returns the manifest, with the facts in it."""
    with artifacts.writing(output_path) as directory:
        np.save(directory / "probe_ids.npy", probe_ids)
        if len(spare_ids):
            np.save(directory / SPARE, spare_ids)
        return artifacts.finish(
            directory, artifacts.PROBE_SPLIT, {artifacts.PREPARED_DATASET: dataset}, **facts
        )


def choose_spare(dataset_path, probe_ids, class_names, rng):
    """Trusted examples that are not in the probe, and how many of each class come first."""
    ids = np.setdiff1d(records.read_trusted_ids(dataset_path), probe_ids)
    labels = records.read_clean_labels(dataset_path)[ids]
    per_class = int(np.bincount(labels, minlength=len(class_names)).min())
    first = ids[choose(labels, class_names, per_class, rng)]
    if len(ids):
        print(
            f"note: {len(ids)} trusted images are not in the probe: they are neither trained on nor"
            f" audited; {per_class} of each class calibrate the model"
        )
    return np.concatenate([first, np.setdiff1d(ids, first)]), per_class


def share_of_each_class(hold_ratio, dataset):
    check_range("probe_dataset_hold_ratio", hold_ratio, 0, 1)
    size, num_classes = dataset["num_examples"]["train"], len(dataset["class_names"])
    per_class = int(round(size * hold_ratio, 6)) // num_classes  # 50,000 * 0.0006 is below 30
    if not per_class:
        rule = f"must leave one of {size} examples or more to each of {num_classes} classes"
        raise InputError("--probe_dataset_hold_ratio", rule, hold_ratio)
    return per_class


def split_for_calibration(probe_ids, config, num_classes):
    """The probe's ids for training, and those that `calibration_per_class` keeps from it."""
    kept = len(probe_ids) - config.calibration_per_class * num_classes
    if kept < 0:
        rule = f"must be at most the {len(probe_ids) // num_classes} trusted examples of each class"
        raise InputError("--calibration_per_class", rule, config.calibration_per_class)
    return probe_ids[:kept], probe_ids[kept:]


def learned_from(per_class, method):
    """Number of trusted examples per class that training uses, of `per_class` in the probe."""
    used = method.uses_probe and method.probe_size(method.config)
    return per_class - method.config.calibration_per_class if used else 0


def held_out(path, dataset, method):
    """Trusted ids that training has not used, as many of each class, int64.

    Args:
      path: Directory of the probe split.
      dataset: Manifest of the prepared dataset.
      method: Method of the run; some methods do not use the probe.
    """
    probe_ids, _, split = read_split(path, dataset)
    C = len(dataset["class_names"])
    kept = probe_ids[learned_from(split["per_class"], method) * C :]
    return np.concatenate(
        [kept, read_ids(path, split, SPARE)[: split.get("spare_per_class", 0) * C]]
    )


def read_split(path, dataset):
    """Probe ids, int64 (M,), ids of the training examples, int64 ascending, and the manifest.

    These training examples are those whose label nobody has checked: an audit looks at them.

    Raises:
      InputError: The artifact is missing, half-written, or made for another dataset.
    """
    probe = artifacts.read(path, artifacts.PROBE_SPLIT)
    artifacts.check_parent(probe, dataset)
    probe_ids = np.load(Path(path) / "probe_ids.npy")
    others = [read_ids(path, probe, name) for name in (SPARE, REVIEWED, DROPPED)]
    taken = np.concatenate([probe_ids, *others])
    train_ids = np.setdiff1d(np.arange(dataset["num_examples"]["train"]), taken)
    return probe_ids, train_ids, probe


def read_ids(path, probe, name):
    """Ids in a file of the artifact, int64; none if it has no such file."""
    return np.load(Path(path) / name) if name in probe["files"] else np.zeros(0, np.int64)


def trusted_labels(path, dataset_path, labels):
    """Labels by id that are known to be true, int32 (N,): of trusted and of reviewed examples.

    -1 for examples that a reviewer dropped; of the others, which are audited, without meaning.

    Args:
      path: Directory of the probe split.
      dataset_path: Directory of the prepared dataset.
      labels: int32 (N,), given labels by id, after the review if there was one.
    """
    known = records.read_clean_labels(dataset_path).copy()
    probe = artifacts.read(path, artifacts.PROBE_SPLIT)
    reviewed = read_ids(path, probe, REVIEWED)
    known[reviewed] = labels[reviewed]
    known[read_ids(path, probe, DROPPED)] = -1
    return known


def known_given_labels(path, dataset_path, labels):
    """Trusted examples whose given label is known beside the true one; never reviewed ones.

    They are known where the probe is drawn from the training examples. Trusted images that are
    named say nothing of given labels: people pick them from among those that are given the right
    class.

    Args:
      path: Directory of the probe split.
      dataset_path: Directory of the prepared dataset.
      labels: int32 (N,), given labels by id.

    Returns:
      Their ids, int64 (M,), and their given labels, int32 (M,).
    """
    ids = chosen(path)
    if records.trusted_are_named(dataset_path):
        ids = ids[:0]
    return ids, labels[ids]


def chosen(path):
    """Ids of the trusted examples of a split, int64 (M,), without reviewed ones."""
    return np.load(Path(path) / "probe_ids.npy")


def test_labels(path, dataset_path):
    """Labels of the test images after a review, int32 (T,), -1 for dropped ones.

    Args:
      path: Directory of the probe split.
      dataset_path: Directory of the prepared dataset.

    Returns:
      These labels, and which of them a reviewer decided on, bool (T,).
    """
    labels = records.read_labels(dataset_path, "test").astype(np.int32)
    decided = np.zeros(len(labels), bool)
    if DECIDED_TEST in artifacts.read(path, artifacts.PROBE_SPLIT)["files"]:
        ids, found = np.load(Path(path) / DECIDED_TEST).T
        labels[ids], decided[ids] = found, True
    return labels, decided


def balanced_order(labels):
    """Positions so that a pass has each class equally often: small classes repeat theirs.

    Args:
      labels: int (M,), of trusted examples.

    Returns:
      int64, in class order 0, 1, .., C-1, 0, 1, .. over the classes that occur.
    """
    members = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    most = max(map(len, members), default=0)
    return np.array([np.resize(each, most) for each in members], np.int64).T.reshape(-1)
