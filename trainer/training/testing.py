"""Tests during a training; each adds a row to its history."""

import sys

import tensorflow as tf
from etils import epy
from tqdm import tqdm

from trainer.methods import collapse
from trainer.training.callbacks import TESTED, AfterStep
from trainer.training.schedule import cycle_ends

with epy.lazy_imports():
    from sklearn import metrics


class Testing(AfterStep):
    """Tests and saves every `eval_freq` steps, where a cosine cycle ends, and at the end.

    It adds the row of the history to the logs of the step. All workers do so, because reading a sum
    over replicas needs all workers.

    Args:
      config: `trainer.settings.training.TrainSettings`.
      checkpoints: `trainer.training.checkpoints.Checkpoints`, restored.
      test_batches: Dataset for `evaluate`.
      labels: int32 (N,), the given labels.
      clean_labels: int32 (N,), true labels, -1 where not known; for the history only.

    Attributes:
      confusion: int (C, C) of the last test, [i, j] counts images of class i predicted as j.
    """

    def __init__(self, config, checkpoints, test_batches, labels, clean_labels):
        super().__init__()
        self.config = config
        self.checkpoints = checkpoints
        self.test_batches = test_batches
        self.wrong, self.known = labels != clean_labels, clean_labels >= 0
        self.further_tests = cycle_ends(config) | {config.max_iteration}

    def after_step(self, logs):
        if self.step % self.config.eval_freq == 0 or self.step in self.further_tests:
            row = self.history_row()
            self.checkpoints.add_row(row)
            logs.update(row)

    def history_row(self):
        """Tests, and resets the means of the losses."""
        means = self.model.means
        row = {
            f"train/{name}": float(tf.cast(mean.result(), tf.float32))
            for name, mean in means.items()
        }
        accuracies = self.model.evaluate(self.test_batches, return_dict=True, verbose=0)
        row |= {f"test/{name}": float(value) for name, value in accuracies.items()}
        self.confusion = self.model.confusion.total_cm.numpy()
        spread = collapse.scalars(self.model.mean_prediction.result(), self.confusion)
        row |= {f"test/{name}": value for name, value in spread.items()}
        for mean in means.values():
            mean.reset_state()
        return row | noise_detection(self.model.record, self.wrong, self.known)


class CollapseWarning(AfterStep):
    """Warns when predictions collapse onto few classes, once each time.

    Args:
      testing: `Testing`, an earlier callback.
      class_names: C names.
    """

    def __init__(self, testing, class_names):
        super().__init__()
        self.testing, self.class_names, self.collapsed = testing, class_names, False

    def after_step(self, logs):
        if TESTED not in logs:
            return
        found = {name.removeprefix("test/"): value for name, value in logs.items()}
        warning = collapse.warning(
            found, self.testing.confusion, self.class_names, self.model.advice
        )
        if warning and not self.collapsed:
            tqdm.write(f"warning: step {self.step}: {warning}", file=sys.stderr)
        self.collapsed = bool(warning)


def noise_detection(record, wrong, known):
    """How well the coefficients so far separate true from wrong labels.

    Args:
      record: `trainer.methods.example_record.ExampleRecord`.
      wrong: bool (N,).
      known: bool (N,), where the true label is known.

    Returns:
      For each coefficient its mean over true and over wrong labels, and the area under the ROC
      curve for finding wrong labels by low values; empty if a group has no example yet.
    """
    means, seen = record.means()
    seen &= known
    scalars = {}
    if 0 < wrong[seen].sum() < seen.sum():
        for name, values in means.items():
            scalars[f"train/{name}_right"] = float(values[seen & ~wrong].mean())
            scalars[f"train/{name}_wrong"] = float(values[seen & wrong].mean())
            scalars[f"train/{name}_auroc"] = float(
                metrics.roc_auc_score(wrong[seen], -values[seen])
            )
    return scalars
