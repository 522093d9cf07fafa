"""The charts of a training run: noise, tests, curves, and the recorded coefficients.

C classes, N audited examples.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from trainer.data.noise.transition import normalised_rows, realised_transition
from trainer.report import charts

NOISE_AXES = {"across": "given label", "down": "true label"}
TEST_AXES = {"across": "predicted label", "down": "test label"}
SCORE = {"label_score": ("Label scores", "label score")}


def transitions(given, clean, names, estimated):
    """Heat maps of the true transition matrix, if it is known, and of the estimated one.

    Args:
      given: int (N,), given labels.
      clean: int (N,), true labels, -1 where not known.
      names: C names.
      estimated: (C, C).
    """
    found = {}
    if (clean >= 0).all():
        found["True transition matrix"] = realised_transition(clean, given, len(names))
    found["Estimated transition matrix"] = estimated
    return {c: charts.heat_map(T, names, **NOISE_AXES, salt=c) for c, T in found.items()}


def confusion_matrix(counts, names):
    """Confusion matrix of the test images, as fractions of each class."""
    return charts.heat_map(normalised_rows(counts), names, **TEST_AXES)


def reliability_diagram(exported):
    """Reliability of the model, and of the network before calibration if there was one."""
    diagrams = dict(exported["reliability"])
    if not exported["calibrated_on"]:
        diagrams = {"not calibrated": diagrams["before calibration"]}
    return charts.reliability_diagram(diagrams)


def learning_curves(checkpoints_path):
    """Accuracy and losses over the steps."""
    history = pd.DataFrame(json.loads((Path(checkpoints_path) / "history.json").read_text()))
    accuracy = {"EMA weights": "test/top1", "raw weights": "test/top1_raw"}
    accuracy = {weights: column for weights, column in accuracy.items() if column in history}
    losses = [name for name in history if name.startswith("train/loss") and history[name].any()]
    losses = {of_loss(name): name for name in losses}

    def by_step(columns):
        return {name: (history.step, history[column]) for name, column in columns.items()}

    return {
        "Accuracy": charts.line_chart(by_step(accuracy), "step", "test accuracy"),
        "Loss": charts.line_chart(by_step(losses), "step", "loss, mean since the last test"),
    }


def of_loss(column):
    """The part of the loss that a column has: pseudo label of train/loss_pseudo_label."""
    return column.removeprefix("train/loss").strip("_").replace("_", " ") or "total"


def histograms(issues, given, clean, coefficients):
    """Histograms of the label score, and of each coefficient that training recorded.

    Args:
      issues: The table of the audit.
      given: int (N,), given labels.
      clean: int (N,), true labels, -1 where not known.
      coefficients: {name: (caption, axis label)}.
    """
    groups = {"true labels": given == clean, "wrong labels": given != clean}
    if (clean < 0).any() or not all(mask.any() for mask in groups.values()):
        groups = {"all labels": np.full(len(issues), True)}
    return {
        caption: charts.histogram({g: issues[name][mask] for g, mask in groups.items()}, across)
        for name, (caption, across) in (SCORE | coefficients).items()
    }
