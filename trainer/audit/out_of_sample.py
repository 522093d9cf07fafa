"""What the training examples are by those who may judge them: a run, runs without them, or others.

N audited examples, C classes.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import softmax

from trainer import artifacts
from trainer.audit import leave_one_out
from trainer.data import folds, probe, records
from trainer.errors import InputError
from trainer.evaluation import calibration

THE_RUN, RUNS = "the run itself", "runs that had not seen the example"
OTHERS = "all other examples, as the run has seen its few images too often"
EPOCHS, AGREEMENT = 100, 0.9  # above both, a run may only repeat the labels
TRUSTED, TOLERANCE = 20, 0.1  # fewest images, and least difference of rates, to contradict
CHANCE = 1.5  # times it, the recall below which nobody can tell classes apart
CANNOT_TELL = (
    "nobody can tell which labels are wrong: the run has seen its few images too often, and the"
    " others are hardly right by more than chance; more images, or --audit_folds=3, may help"
)
BY_HEART = (
    "the run agrees with almost every label that it was trained on, and may know wrong ones by"
    " heart; --audit_folds=3 judges labels by runs without them"
)


@dataclass
class Judged:
    """What a judge says of the audited examples.

    Attributes:
      P: float64 (N, C), class probabilities by the image.
      runs: Manifests of the runs.
      judge: Who says so.
      coefficients: Means over training by name, (N,).
      agreement: With noisy labels of images that the judge has not seen; None if not known.
      accuracy: On TRUSTED such images or more, whose labels are right; None if not known.
      warnings: Sentences without a full stop.
    """

    P: np.ndarray
    runs: list
    judge: str
    coefficients: dict
    agreement: float | None = None
    accuracy: float | None = None
    warnings: list = field(default_factory=list)


def judged(dataset_path, probe_split_path, checkpoints_paths, labels, ids):
    """What the runs say; where the only one has seen few images too often, all other examples.

    Args:
      dataset_path: Directory of the prepared dataset.
      probe_split_path: Directory of the probe split.
      checkpoints_paths: Directories of the checkpoints of one run, or of those of all folds.
      labels: int32, given labels by id.
      ids: int64 (N,), of the audited examples; the others are trusted.

    Raises:
      InputError: Runs of another dataset, or not of all folds.
    """
    found, tested = by_runs(dataset_path, probe_split_path, checkpoints_paths, labels, ids)
    run, by_heart = found.runs[-1], np.mean(found.P.argmax(axis=1) == labels[ids]) > AGREEMENT
    epochs = run["config"]["max_iteration"] * run["config"]["batch_size"] / run["num_examples"]
    if len(found.runs) > 1 or epochs <= EPOCHS:
        return found
    if len(labels) > leave_one_out.MOST:
        found.warnings += [BY_HEART] * bool(by_heart)
        return found
    others, tested_by_others = by_others(dataset_path, labels, ids, found)
    recalls = [recall(dataset_path, scores) for scores in (tested, tested_by_others)]
    return better(found, others, by_heart, *recalls)


def better(run, others, by_heart, recall_of_run, recall_of_others):
    """The run, or others where it knows its images by heart or is not ahead on test images."""
    if not by_heart and recall_of_others < recall_of_run:
        return run
    if recall_of_others < CHANCE / others.P.shape[1]:
        others.warnings.append(CANNOT_TELL)
    return others


def recall(dataset_path, scores):
    """Mean over classes of the share of test images that have the highest score for their label."""
    labels = records.read_labels(dataset_path, "test")
    right = scores.argmax(axis=1) == labels
    return np.mean([right[labels == c].mean() for c in np.unique(labels)])


def by_runs(dataset_path, probe_split_path, checkpoints_paths, labels, ids):
    """What the runs say of what they were not trained on, or one says of all.

    They are calibrated where trusted images were held out.

    Returns:
      `Judged`, and what the last run says of test images, (T, C).
    """
    from trainer.evaluation import predictions  # imports TensorFlow
    from trainer.training import fit  # imports TensorFlow

    dataset, clean = records.read_manifest(dataset_path), records.read_clean_labels(dataset_path)
    P = np.zeros((len(ids), len(dataset["class_names"])))
    judges, sums, runs, right = np.zeros(len(ids)), {}, [], []
    for path in checkpoints_paths:
        run = artifacts.read(path, artifacts.CHECKPOINTS)
        artifacts.check_parent(run, dataset)
        method, run = fit.restore(path)
        fold = folds.fold_of(ids, method.config)
        out = fold == method.config.audit_fold
        mine = out if out.any() else np.full(len(ids), True)
        said = predictions.predict_probabilities(dataset_path, method)
        held_out = probe.held_out(probe_split_path, dataset, method)
        if len(held_out):
            right.extend(said[held_out].argmax(axis=1) == clean[held_out])
            said = calibration.fit_dirichlet(said[held_out], clean[held_out])(said)
        P[mine] += said[ids[mine]]
        judges[mine] += 1
        means, _ = method.record.means()
        for name, values in means.items():
            sums.setdefault(name, np.zeros(len(ids)))[~out] += values
        runs.append(run)
    if not judges.all():
        rule = "must be those of all folds: some examples were left out by none of the runs"
        raise InputError("checkpoints", rule, f"{len(runs)} runs")
    P /= judges[:, np.newaxis]
    tested, agreement = predictions.predict_logits(dataset_path, method, "test"), None
    if len(runs) > 1:
        agreement = np.mean(P.argmax(axis=1) == labels[ids])
    elif not dataset["test_labels_are_clean"]:
        agreement = np.mean(tested.argmax(axis=1) == records.read_labels(dataset_path, "test"))
    found = Judged(
        P,
        runs,
        RUNS if len(runs) > 1 else THE_RUN,
        {name: total / max(len(runs) - 1, 1) for name, total in sums.items()},
        agreement,
        np.mean(right) if len(right) >= TRUSTED else None,
    )
    return found, tested


def by_others(dataset_path, labels, ids, found):
    """What all other examples say of each, as sure as the given labels bear out.

    Returns:
      `Judged`, and scores of test images, (T, C).
    """
    trusted_ids = np.setdiff1d(np.arange(len(labels)), ids)
    clean, order = records.read_clean_labels(dataset_path), np.concatenate([ids, trusted_ids])
    known = np.concatenate([labels[ids], clean[trusted_ids]])
    scores, tested = leave_one_out.class_scores(dataset_path, order, known, found.P.shape[1])
    trusted = np.arange(len(order)) >= len(ids)
    temperature, _ = calibration.fit_temperature_under_noise(scores, known, trusted)
    P = softmax(scores[~trusted] / temperature, axis=1)
    alone = (np.bincount(known) == 1)[labels[ids]]
    P[alone] = np.eye(P.shape[1])[labels[ids][alone]]
    right = scores.argmax(axis=1) == known
    accuracy = right[trusted].mean() if trusted.sum() >= TRUSTED else None
    others = Judged(P, found.runs, OTHERS, found.coefficients, right[~trusted].mean(), accuracy)
    if alone.any():
        names = np.array(records.read_manifest(dataset_path)["class_names"])[labels[ids][alone]]
        others.warnings.append(f"class {', '.join(names)} has one image, which nobody can judge")
    return others, tested


def contradictions(judged, low, high):
    """Warnings where the noise rate cannot be between `low` and `high`, by what else is known.

    Who is right on a share a of images, and agrees with a share g of noisy labels, has met a noise
    rate of about 1 - g / a.
    """
    if not judged.accuracy or judged.agreement is None:
        return []
    rate = max(0.0, 1 - judged.agreement / judged.accuracy)
    if low - TOLERANCE <= rate <= high + TOLERANCE:
        return []
    return [
        f"the estimated noise rate, {low:.1%} to {high:.1%}, does not fit what else is known:"
        f" {judged.judge} is right on {judged.accuracy:.1%} of trusted images and agrees with"
        f" {judged.agreement:.1%} of noisy labels, as if {rate:.1%} of these were wrong"
    ]
