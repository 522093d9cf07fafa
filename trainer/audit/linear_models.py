"""Evidence from linear models on features, none of which has seen the image that it predicts.

The features are embeddings, or what a fine-tuned network has made of them. A fine-tuned run has
seen the labels, but errs on others than linear models do: the product of both probabilities ranks
and corrects labels better than either.

N audited examples, C classes.
"""

import dataclasses

import numpy as np

from trainer.audit import kept_labels, rate_correction
from trainer.audit.evidence import TRUSTED
from trainer.data import probe
from trainer.methods import cross_fitting

LINEAR_MODELS = "linear models on the embeddings that have not seen the example"
WITH_RUN = "the fine-tuned run, and linear models on its features that have not seen the example"


def evidence_out_of_fold(by_run, dataset_path, probe_split_path, features, labels, ids, embeddings):
    """The evidence of a run with class probabilities and T by `trainer.methods.cross_fitting`.

    Those of a fine-tuned run are pooled with its own. A run has learned from trusted images, so
    that nothing pooled with it is out of sample for these: its noise rate is that of the
    embeddings.

    Args:
      by_run: `trainer.audit.evidence.Evidence` of the run.
      dataset_path: Directory of the prepared dataset.
      probe_split_path: Directory of the probe split.
      features: Of the images by id, float (at least the training images, D); the embeddings,
        unless the run is fine-tuned.
      labels: int32, given labels by id.
      ids: int64 (N,), of the audited examples; the others are trusted.
      embeddings: float (at least the training images, E), by id.
    """
    true = probe.trusted_labels(probe_split_path, dataset_path, labels)
    trusted = np.setdiff1d(np.flatnonzero(true >= 0), ids)
    C, seed = by_run.P.shape[1], by_run.runs[-1]["seed"]

    def cross_fit(x):
        known = x[trusted], true[trusted]
        return cross_fitting.cross_fit(x[ids], labels[ids], *known, num_classes=C, seed=seed)

    finetuned = by_run.runs[-1]["config"]["finetune"]
    ids_known, given_known = probe.known_given_labels(probe_split_path, dataset_path, labels)
    if finetuned and len(ids_known) < TRUSTED:
        return pooled_with_run(by_run, cross_fit(features), labels[ids])
    found = cross_fit(embeddings)

    def unseen(ids):
        return found.trusted_probabilities[np.searchsorted(trusted, ids)]

    known = rate_correction.KnownLabels(unseen(ids_known), given_known, true[ids_known])
    transition, correction = rate_correction.corrected(
        found.probabilities, labels[ids], found.transition, known
    )
    if finetuned:
        return pooled_with_run(by_run, cross_fit(features), labels[ids], correction)
    chosen = probe.chosen(probe_split_path)
    return dataclasses.replace(
        by_run,
        P=found.probabilities,
        transition=transition,
        correction=correction,
        labels_right=kept_labels.fraction_right(
            *(found.probabilities, labels[ids], transition, unseen(chosen), true[chosen]),
            given_known if correction else None,
        ),
        predicted_by=LINEAR_MODELS,
        agreement=np.mean(found.probabilities.argmax(axis=1) == labels[ids]),
        accuracy=found.trusted_accuracy if len(trusted) >= TRUSTED else None,
    )


def pooled_with_run(by_run, found, given, correction=None):
    """The evidence of a fine-tuned run and of linear models on its features, at the rate found."""
    P, transition = pooled(found.probabilities, by_run.P), found.transition
    if correction:
        transition = rate_correction.at_rate(P, given, transition, correction.overall[0])
    return dataclasses.replace(
        by_run, P=P, transition=transition, correction=correction, predicted_by=WITH_RUN
    )


def pooled(P, Q):
    """Rows proportional to the products of two experts' probabilities (N, C)."""
    return cross_fitting.probabilities(P * Q)
