"""The user's own images that are held out for the test: their labels come from the same hands.

The run has not seen them, so its predictions are out of sample. C classes, T test images.
"""

import dataclasses

import numpy as np
import pandas as pd

from trainer.audit import noise_estimation
from trainer.audit.ranking import most_suspicious, rank_labels
from trainer.audit.run_predictions import THE_RUN
from trainer.data import records

FEWEST = 50  # test images that tell the noise rate


def noise_rates(dataset_path, evidence, given):
    """Estimated noise rates, from labels that the run was not trained on if there are enough.

    A run remembers labels that it was trained on, wrong ones too, so its own predictions of these
    make noise look rare.

    Args:
      dataset_path: Directory of the prepared dataset.
      evidence: `trainer.audit.evidence.Evidence` of N audited training images.
      given: int (N,), their given labels.

    Returns:
      `trainer.audit.noise_estimation.NoiseRates`, the labels that they are estimated from, int, and
      notes: sentences without a full stop.
    """
    tested = records.read_labels(dataset_path, "test")
    if evidence.predicted_by != THE_RUN:
        rates = noise_estimation.noise_rates(evidence.P, given, evidence.transition)
        if not evidence.correction:
            return rates, given, []
        rates = dataclasses.replace(rates, overall=evidence.correction.overall)
        return rates, given, [evidence.correction.note()]
    if len(tested) < FEWEST or records.read_manifest(dataset_path)["test_labels_are_clean"]:
        note = "The noise rates come from predictions of a run for labels that it was trained on,"
        note += " and may be too low; --audit_folds=3 makes out-of-sample predictions"
        return noise_estimation.noise_rates(evidence.P, given), given, [note]
    note = f"The noise rates come from the {len(tested):,} labels held out for the test, because"
    note += " the run was trained on the others and may have memorised them"
    return noise_estimation.noise_rates(evidence.tested, tested), tested, [note]


def with_test_images(table, dataset_path, P, decided=False, transition=None):
    """The table of label issues with rows of test images, unless their labels are true.

    Their labels are never corrected here: the model would correct what it is measured by.

    Args:
      table: Of the training images.
      dataset_path: Directory of the prepared dataset.
      P: (T, C) probabilities of the test images.
      decided: Which of them a reviewer decided on, bool (T,), if some: they have no row.
      transition: That of the evidence; EM finds T unless given.
    """
    from cleanlab.rank import get_label_quality_scores  # takes seconds

    dataset = records.read_manifest(dataset_path)
    given = records.read_labels(dataset_path, "test")
    ids = np.flatnonzero(np.broadcast_to(~np.asarray(decided), len(given)))
    if dataset["test_labels_are_clean"] or not len(ids):
        return table
    P, given = P[ids], given[ids]
    Q, _ = noise_estimation.true_label_posterior(P, given, transition)
    tested = rank_labels(given, Q).assign(
        id=dataset["num_examples"]["train"] + ids,
        cleanlab_score=get_label_quality_scores(given, P),
        corrected=False,
    )
    return pd.concat([table, tested], ignore_index=True)


def with_issues(table, rate):
    """The table with as many label issues as a noise rate says."""
    suspicion = 1 - table.label_score.to_numpy()
    return table.assign(is_label_issue=most_suspicious(suspicion, round(rate * len(table))))
