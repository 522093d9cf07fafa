"""Evidence from trained runs; out of sample if one of the runs left out each example.

N audited examples, C classes, T test images.
"""

import numpy as np

from trainer import artifacts
from trainer.audit.evidence import TRUSTED, Evidence, coefficient_captions
from trainer.data import folds, probe, records
from trainer.errors import InputError
from trainer.evaluation import calibration

THE_RUN = "the run itself, which was trained on these labels"
OTHER_RUNS = "runs that were not trained on the example"


def evidence_from_runs(
    dataset_path, probe_split_path, checkpoints_paths, labels, ids, embeddings_path=None
):
    """Predictions of each run for the examples that it left out; a single run predicts all.

    They are calibrated if trusted images were held out.

    Args:
      dataset_path: Directory of the prepared dataset.
      probe_split_path: Directory of the probe split.
      checkpoints_paths: Directories of the checkpoints of one run, or of those of all folds.
      labels: int32, given labels by id.
      ids: int64 (N,), of the audited examples.
      embeddings_path: Directory of the embeddings, where there are some.

    Returns:
      `Evidence`, and logits of the last run for test images, (T, C).

    Raises:
      InputError: Runs of another dataset, or not of all folds.
    """
    from trainer.evaluation import predictions  # imports TensorFlow
    from trainer.training import fit  # imports TensorFlow

    dataset = records.read_manifest(dataset_path)
    C = len(dataset["class_names"])
    P, P_tested = np.zeros((len(ids), C)), np.zeros((dataset["num_examples"]["test"], C))
    times_predicted, sums, runs, hits = np.zeros(len(ids)), {}, [], []
    for path in checkpoints_paths:
        run = artifacts.read(path, artifacts.CHECKPOINTS)
        artifacts.check_parent(run, dataset)
        method, run = fit.restore(path, embeddings_path)
        left_out = folds.fold_of(ids, method.config) == method.config.audit_fold
        predicted = left_out if left_out.any() else np.full(len(ids), True)
        by_id, of_tests, hits_of_run = calibrated_probabilities(
            dataset_path, probe_split_path, method
        )
        P_tested += of_tests / len(checkpoints_paths)
        hits.extend(hits_of_run)
        P[predicted] += by_id[ids[predicted]]
        times_predicted[predicted] += 1
        means, _ = method.record.means()
        for name, values in means.items():
            of_audited = values[: np.sum(~left_out)]  # reviewed examples come after them
            sums.setdefault(name, np.zeros(len(ids)))[~left_out] += of_audited
        runs.append(run)
    if not times_predicted.all():
        rule = "must be the runs of all folds: no run left out some of the examples"
        raise InputError("checkpoints", rule, f"{len(runs)} runs")
    P /= times_predicted[:, np.newaxis]
    tested = predictions.predict_logits(dataset_path, method, "test")
    evidence = Evidence(
        P,
        runs,
        predicted_by=OTHER_RUNS if len(runs) > 1 else THE_RUN,
        coefficients={name: total / max(len(runs) - 1, 1) for name, total in sums.items()},
        captions=coefficient_captions(method.coefficients),
        agreement=agreement_with_noisy_labels(P, labels[ids], tested, dataset_path, len(runs)),
        accuracy=np.mean(hits) if len(hits) >= TRUSTED else None,
        tested=P_tested,
    )
    return evidence, tested


def calibrated_probabilities(dataset_path, probe_split_path, method):
    """Calibrated probabilities of a run by id, of train and of test, and its hits, bool.

    Hits: which held-out trusted images it predicts correctly; they calibrate the probabilities.
    """
    from trainer.evaluation import predictions  # imports TensorFlow

    P, tested = (
        predictions.predict_probabilities(dataset_path, method, split)
        for split in ("train", "test")
    )
    dataset = records.read_manifest(dataset_path)
    held_out = probe.held_out(probe_split_path, dataset, method)
    if not len(held_out):
        return P, tested, []
    true = records.read_clean_labels(dataset_path)[held_out]
    calibrate = calibration.fit_dirichlet(P[held_out], true)
    return calibrate(P), calibrate(tested), P[held_out].argmax(axis=1) == true


def agreement_with_noisy_labels(P, given, tested, dataset_path, runs):
    """Fraction of noisy labels, of images not trained on, that are predicted; None if not known."""
    if runs > 1:
        return np.mean(P.argmax(axis=1) == given)
    if records.read_manifest(dataset_path)["test_labels_are_clean"]:
        return None
    return np.mean(tested.argmax(axis=1) == records.read_labels(dataset_path, "test"))
