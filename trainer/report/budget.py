"""How many labels are right after N looks, in the order of the expected gain of a look.

A look makes a label right. Without one, the audit's label is kept. N audited examples.
"""

import numpy as np

from trainer.audit import kept_labels
from trainer.report import charts, gallery

LOOKS = (0, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
POINTS = 200


def budget(issues, trained, audit, kept_is_right=None):
    """The chart and the table of the page, by the names of its template.

    Args:
      issues: Table of the audit.
      trained: bool (N,), which rows are of training images. The others are never corrected.
      audit: Manifest of the audit.
      kept_is_right: bool (N,), whether the audit's label is true, if known.
    """
    gain = gallery.expected_gain(issues)
    order, curves = np.argsort(-gain, kind="stable"), {}
    for end, wrong in kept_labels.wrong_at_ends(gain[trained], audit).items():
        of_all = gain.copy()
        of_all[trained] = wrong
        name = "expected" if end == "estimated" else end
        curves[name] = right_after_looks(of_all, order)
    if kept_is_right is not None:
        curves["true"] = right_after_looks(1.0 - kept_is_right, order)
    counted = [n for n in LOOKS if n < len(gain)]
    known = kept_labels.TELLING in audit
    return {
        "range_from": "trusted images" if known else "the range of the estimated noise rate",
        "given_right": issues.label_score.mean(),
        "rows": [
            {"looks": f"{n:,}"} | {name: f"{curve[n]:.1%}" for name, curve in curves.items()}
            for n in counted
        ],
        "chart": chart(curves),
    }


def right_after_looks(wrong, order):
    """Fraction of labels right after 0, 1, .., N looks, (N + 1,).

    Args:
      wrong: (N,), probability that the label that is kept without a look is wrong.
      order: int (N,), of the looks.
    """
    found = np.concatenate([[0.0], np.cumsum(wrong[order])])
    return 1 - (found[-1] - found) / max(len(wrong), 1)


def chart(curves):
    """The curves over the number of looks."""
    shown = np.unique(np.linspace(0, len(curves["expected"]) - 1, POINTS).astype(int))
    lines = {"expected": (shown, curves["expected"][shown])}
    if "true" in curves:
        lines["by the true labels"] = shown, curves["true"][shown]
    band = shown, curves["low"][shown], curves["high"][shown]
    return charts.band_chart(lines, band, "looks", "fraction of labels right")
