"""The table of classes: what the audit and the tests say about each."""

import numpy as np


def rows(issues, given, suggested, confusion, names):
    """A row for each class, in the order of their numbers.

    Args:
      issues: Table of the audit, N rows.
      given: int (N,), given labels.
      suggested: int (N,), suggested labels.
      confusion: (C, C), counts of test images by label and prediction.
      names: C names.
    """
    C, flagged = len(names), issues.is_label_issue.to_numpy(bool)
    counts = np.bincount(given, minlength=C)
    wrong = np.bincount(given, 1 - issues.label_score, C) / np.maximum(counts, 1)
    found = np.bincount(given[flagged], minlength=C)
    pairs = np.zeros((C, C), int)
    np.add.at(pairs, (given[flagged], suggested[flagged]), 1)
    tested = confusion.sum(axis=1)
    right = np.diag(confusion) / np.maximum(tested, 1)
    return [
        {
            "given label": name,
            "labels": f"{counts[k]:,}",
            "estimated noise rate": f"{wrong[k]:.1%}" if counts[k] else "",
            "label issues": f"{found[k]:,}",
            "most often suggested": names[pairs[k].argmax()] if found[k] else "",
            "test images": f"{tested[k]:,.0f}",
            "predicted as labelled": f"{right[k]:.1%}" if tested[k] else "",
        }
        for k, name in enumerate(names)
    ]
