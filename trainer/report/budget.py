"""How many labels are right after N looks, in the order of the expected gain of a look.

A look makes a label right. Without one, the audit's label is kept. N audited examples.
"""

import numpy as np

from trainer.audit import noise_estimation
from trainer.report import charts, gallery

LOOKS = (0, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
POINTS = 200


def budget(issues, rates, kept_is_right=None):
    """The chart and the table of the page, by the names of its template.

    Args:
      issues: Table of the audit.
      rates: Estimated noise rate, and the lower and the upper end of its range.
      kept_is_right: bool (N,), whether the audit's label is true, if known.
    """
    estimate, low, high = rates
    gain = gallery.expected_gain(issues)
    curves = {"expected": right_after_looks(gain)}
    for name, rate in (("low", high), ("high", low)):  # more noise, fewer labels right
        curves[name] = right_after_looks(noise_estimation.at_rate(gain, estimate, rate))
    if kept_is_right is not None:
        order = np.argsort(-gain, kind="stable")
        curves["true"] = right_after_looks(1.0 - kept_is_right, order)
    counted = [n for n in LOOKS if n < len(gain)]
    return {
        "given_right": issues.label_score.mean(),
        "rows": [
            {"looks": f"{n:,}"} | {name: f"{curve[n]:.1%}" for name, curve in curves.items()}
            for n in counted
        ],
        "chart": chart(curves),
    }


def right_after_looks(wrong, order=None):
    """Fraction of labels right after 0, 1, .., N looks, (N + 1,).

    Args:
      wrong: (N,), probability that the label that is kept without a look is wrong.
      order: int (N,), of the looks; the most probable first unless given.
    """
    order = np.argsort(-wrong, kind="stable") if order is None else order
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
