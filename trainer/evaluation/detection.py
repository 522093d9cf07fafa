"""How well wrong labels are found and corrected, where the true labels are known."""

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

AT = (100, 1000)  # how many of the most suspicious labels a person may look at


def ranking_quality(score, wrong):
    """How well a score ranks wrong labels before true ones.

    Args:
      score: (N,), high where a label is likely wrong.
      wrong: bool (N,).

    Returns:
      auroc, average_precision and precision_at_<k>, all in [0, 1]; empty if all labels are true,
      or all are wrong.
    """
    if not 0 < wrong.sum() < len(wrong):
        return {}
    ranked = wrong[np.argsort(-score, kind="stable")]
    return {
        "auroc": float(roc_auc_score(wrong, score)),
        "average_precision": float(average_precision_score(wrong, score)),
        **{f"precision_at_{k}": float(ranked[:k].mean()) for k in AT if k <= len(wrong)},
    }


def correction_quality(given, corrected, clean, issue):
    """How well label issues match wrong labels, and corrections match true labels.

    Args:
      given: int (N,), given labels.
      corrected: int (N,), corrected labels.
      clean: int (N,), true labels.
      issue: bool (N,), label issues.

    Returns:
      f1, precision and recall of `issue`; corrections_right, the fraction of changed labels
      that are now true; labels_right and labels_right_before, the fraction of all labels that are
      true after and before correction.
    """
    wrong, changed = given != clean, given != corrected
    hits = (issue & wrong).sum()
    shares = {
        "f1": (2 * hits, issue.sum() + wrong.sum()),
        "precision": (hits, issue.sum()),
        "recall": (hits, wrong.sum()),
        "corrections_right": ((corrected == clean)[changed].sum(), changed.sum()),
        "labels_right_before": ((~wrong).sum(), len(given)),
        "labels_right": ((corrected == clean).sum(), len(given)),
    }
    return {name: float(part / whole) for name, (part, whole) in shares.items() if whole}
