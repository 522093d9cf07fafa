"""Chooses the predictions of an audit: of runs, linear models on embeddings, or left-one-out."""

import numpy as np

from trainer.audit import for_review, leave_one_out, linear_models, run_predictions
from trainer.data import probe, records

EPOCHS, AGREEMENT = 100, 0.9  # above both, a run may have memorised the labels
CHANCE = 1.5  # times chance: a recall below this is hardly better than chance
CANNOT_TELL = (
    "the label issues mean little: the run has seen its few images too often, and leave-one-out"
    " predictions are hardly better than chance; more images, or --audit_folds=3, may help"
)
MEMORISED = (
    "the run predicts almost every label that it was trained on, and may have memorised wrong ones;"
    " --audit_folds=3 makes out-of-sample predictions"
)


def gather_evidence(
    dataset_path, probe_split_path, checkpoints_paths, labels, ids, features, embeddings_path=None
):
    """Predictions of the runs; those of others if a single run has seen the images.

    These are linear models if there is a backbone, otherwise leave-one-out ones if the run has
    seen few images too often. A fine-tuned run has its say beside linear models.

    Args:
      dataset_path: Directory of the prepared dataset.
      probe_split_path: Directory of the probe split.
      checkpoints_paths: Directories of the checkpoints of one run, or of those of all folds.
      labels: int32, given labels by id.
      ids: int64 (N,), of the audited examples; the others are trusted.
      features: Of the images by id, from `trainer.audit.for_review.read_features`.
      embeddings_path: Directory of the embeddings of the backbone of the runs, if they have one.

    Returns:
      `trainer.audit.evidence.Evidence`.

    Raises:
      InputError: Runs of another dataset, or not of all folds.
    """
    by_run, tested = run_predictions.evidence_from_runs(
        dataset_path, probe_split_path, checkpoints_paths, labels, ids, embeddings_path
    )
    if embeddings_path and len(by_run.runs) == 1:
        embeddings = for_review.read_embeddings(dataset_path, embeddings_path)
        return linear_models.evidence_out_of_fold(
            by_run, dataset_path, probe_split_path, features, labels, ids, embeddings
        )
    run, memorised = by_run.runs[-1], np.mean(by_run.P.argmax(axis=1) == labels[ids]) > AGREEMENT
    epochs = run["config"]["max_iteration"] * run["config"]["batch_size"] / run["num_examples"]
    if len(by_run.runs) > 1 or epochs <= EPOCHS:
        return by_run
    if len(labels) > leave_one_out.MOST:
        by_run.warnings += [MEMORISED] * bool(memorised)
        return by_run
    by_others, tested_by_others = leave_one_out.evidence_from_others(
        dataset_path,
        labels,
        ids,
        by_run,
        probe.trusted_labels(probe_split_path, dataset_path, labels),
    )
    recalls = [mean_recall(dataset_path, scores) for scores in (tested, tested_by_others)]
    return better_evidence(by_run, by_others, memorised, *recalls)


def better_evidence(by_run, by_others, memorised, recall_of_run, recall_of_others):
    """Evidence of the run; of the others if it memorised labels or does not beat them on tests."""
    if not memorised and recall_of_others < recall_of_run:
        return by_run
    if recall_of_others < CHANCE / by_others.P.shape[1]:
        by_others.warnings.append(CANNOT_TELL)
    return by_others


def mean_recall(dataset_path, scores):
    """Mean over classes of the fraction of test images whose label has the highest score."""
    labels = records.read_labels(dataset_path, "test")
    hits = scores.argmax(axis=1) == labels
    return np.mean([hits[labels == c].mean() for c in np.unique(labels)])
