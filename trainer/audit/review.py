"""Applies a reviewer's decisions: labels and a probe split to train on again.

<noisy_labels>/   as `trainer.data.noise.injection` writes it, with the decided labels
<probe_split>/    as `trainer.data.probe` writes it, and
  reviewed_ids.npy   int64, examples whose label a reviewer decided on: trusted
  dropped_ids.npy    int64, examples of no class: neither trained on nor audited
  decided_test.npy   int64 (R, 2), if there are decisions on test images: id in test, and the
                     decided label or -1 (dropped). Not audited again; clean_manifest.csv has them.
                     Test accuracy stays that by the labels as they came: rounds are compared by it
"""

import shutil
from pathlib import Path

import numpy as np

from trainer import artifacts, storage
from trainer.audit import decisions
from trainer.data import probe, records
from trainer.data.noise import injection
from trainer.data.noise.transition import realised_transition


def run_identity(audit):
    """The identity of a run, by the manifest of its label audit; no spreadsheet alters it."""
    return audit["audit"]


def apply(dataset_path, noisy_labels_path, probe_split_path, file, labels_path, split_path):
    """Writes the labels and the probe split after a reviewer's decisions.

    Args:
      dataset_path: Directory of the prepared dataset.
      noisy_labels_path: Directory of the noisy labels of the first run.
      probe_split_path: Directory of its probe split.
      file: decisions.csv of all rounds.
      labels_path: Directory to write noisy labels to.
      split_path: Directory to write the probe split to.

    Returns:
      The manifest of the probe split, with the number of each decision.

    Raises:
      InputError: As `trainer.audit.decisions.read` and `check`.
    """
    rows = decisions.read(storage.fetched(file, decisions.FLAG))
    dataset = records.read_manifest(dataset_path)
    given, noisy = injection.read_noisy_labels(noisy_labels_path, dataset)
    _, audited, split = probe.read_split(probe_split_path, dataset)
    if not dataset["test_labels_are_clean"]:
        audited = np.concatenate([audited, len(given) + np.arange(dataset["num_examples"]["test"])])
    decisions.check(rows, dataset, audited, given)
    labels, dropped = decisions.applied(rows, dataset["class_names"], given)
    known = rows.decision.isin((decisions.KEEP, decisions.RELABEL))
    reviewed = rows.id[known & (rows.id < len(given))].to_numpy()
    tested = decided_test(rows, dataset, records.read_labels(dataset_path, "test"))
    write_labels(labels_path, dataset_path, noisy_labels_path, labels, dropped, dataset, noisy)
    counts = {f"num_{name}": int((rows.decision == name).sum()) for name in decisions.DECISIONS}
    counts["num_test_decisions"] = len(tested)
    facts = {name: split[name] for name in probe.FACTS if name in split}
    with artifacts.writing(split_path) as directory:
        for name in split["files"]:
            shutil.copy(Path(probe_split_path) / name, directory)
        np.save(directory / probe.REVIEWED, reviewed)
        np.save(directory / probe.DROPPED, dropped)
        if len(tested):
            np.save(directory / probe.DECIDED_TEST, tested)
        parents = {artifacts.PREPARED_DATASET: dataset, "first_probe_split": split}
        return artifacts.finish(directory, artifacts.PROBE_SPLIT, parents, **facts, **counts)


def decided_test(rows, dataset, given):
    """Ids in test of decided test images, and their labels or -1 (dropped), int64 (R, 2)."""
    first = dataset["num_examples"]["train"]
    rows = rows[(rows.id >= first) & (rows.decision != decisions.UNSURE)]
    of_test = rows.assign(id=rows.id - first)
    labels, dropped = decisions.applied(of_test, dataset["class_names"], given)
    labels[dropped] = -1
    return np.stack([of_test.id, labels[of_test.id]], axis=1).astype(np.int64)


def write_labels(path, dataset_path, noisy_labels_path, labels, dropped, dataset, noisy):
    """Writes the noisy labels after the decisions."""
    published = records.read_labels(dataset_path, "train")
    clean = records.read_clean_labels(dataset_path)
    kept = np.setdiff1d(np.arange(len(labels)), dropped)
    facts = {name: noisy[name] for name in ("noise", "noise_ratio", "seed")}
    known = bool(np.all(clean >= 0))
    facts["wrong_labels"] = float(np.mean(labels[kept] != clean[kept])) if known else None
    realised = realised_transition(published[kept], labels[kept], len(dataset["class_names"]))
    with artifacts.writing(path) as directory:
        np.save(directory / "labels.npy", labels)
        shutil.copy(Path(noisy_labels_path) / "transition.npy", directory)
        np.save(directory / "realised.npy", realised)
        parents = {artifacts.PREPARED_DATASET: dataset, "first_noisy_labels": noisy}
        artifacts.finish(directory, artifacts.NOISY_LABELS, parents, **facts)
