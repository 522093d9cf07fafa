"""What happens around the training steps: progress, tests, checkpoints, and early ends."""

import math
import signal
import sys
import threading
import time

import keras
import tensorflow as tf
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from trainer.errors import Preempted, TrainingError
from trainer.methods import collapse
from trainer.training import workers
from trainer.training.schedule import cycle_ends


class Loop(keras.callbacks.Callback):
    """Tests and saves every `eval_freq` steps, where a cosine cycle ends, and at the end.

    It counts in steps of the run, not in epochs of `fit`, so that a run that was cut off anywhere
    tests and saves at the same steps as one that was not.

    Args:
      config: `trainer.settings.training.TrainSettings`.
      checkpoints: `trainer.training.checkpoints.Checkpoints`, restored.
      test_batches: Dataset for `evaluate`.
      labels: int32 (N,), the given labels.
      clean_labels: int32 (N,), the true ones, -1 where not known; for the history only.
      class_names: C names.
    """

    def __init__(self, config, checkpoints, test_batches, labels, clean_labels, class_names):
        super().__init__()
        self.config = config
        self.checkpoints = checkpoints
        self.test_batches = test_batches
        self.wrong, self.known = labels != clean_labels, clean_labels >= 0
        self.class_names, self.collapsed = class_names, False
        self.further_tests = cycle_ends(config) | {config.max_iteration}
        self.signal, self.handlers = None, {}  # the one that came; those of others, by signal
        self.step = checkpoints.step
        self.bar = tqdm(
            desc=config.method,
            initial=self.step,
            total=config.max_iteration,
            unit=" steps",
            disable=not checkpoints.chief,
        )
        self.writer = (
            tf.summary.create_file_writer(str(checkpoints.directory / "tensorboard"))
            if checkpoints.chief
            else tf.summary.create_noop_writer()
        )

    def on_train_begin(self, logs=None):
        self.since = (time.monotonic(), self.step)
        if threading.current_thread() is threading.main_thread():  # others may set no handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                self.handlers[number] = signal.signal(number, self.end_soon)

    def end_soon(self, number, frame):
        """Lets the step come to its end; a second Ctrl-C does not wait for it."""
        if number == self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = self.signal or number

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        self.bar.update()
        for name, value in logs.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"{name} is {value:f} at step {self.step}; the checkpoint before it is kept."
                    " A lower --learning_rate or a longer --warmup_epochs may help"
                )
        # Saving takes all workers: what one of them wants, all do after the same step.
        mine = float(bool(self.signal)), float(self.checkpoints.due)
        preempted, due = workers.mean(self.model.distribute_strategy, mine)
        if self.step % self.config.eval_freq == 0 or self.step in self.further_tests:
            self.test_and_save()
        elif preempted or due:
            self.checkpoints.save()
        if preempted:
            raise Preempted(
                f"interrupted at step {self.step}; the same command resumes",
                self.signal or signal.SIGTERM,
                elsewhere=not self.signal,
            )

    def test_and_save(self):
        """Adds a row to the history and starts the means of the losses anew."""
        means = self.model.means
        row = {
            f"train/{name}": float(tf.cast(mean.result(), tf.float32))
            for name, mean in means.items()
        }
        accuracies = self.model.evaluate(self.test_batches, return_dict=True, verbose=0)
        row |= {f"test/{name}": float(value) for name, value in accuracies.items()}
        row |= {f"test/{name}": value for name, value in self.spread().items()}
        for mean in means.values():
            mean.reset_state()
        row |= noise_detection(self.model.record, self.wrong, self.known)
        self.checkpoints.add(row)
        self.show(row)
        self.bar.set_postfix(loss=row["train/loss"], top1=row["test/top1"], refresh=False)

    def spread(self):
        """How evenly the test images are taken for the classes; warns once of each collapse."""
        confusion = self.model.confusion.total_cm.numpy()
        found = collapse.scalars(self.model.mean_prediction.result(), confusion)
        warning = collapse.warning(found, confusion, self.class_names, self.model.advice)
        if warning and not self.collapsed and self.checkpoints.chief:
            tqdm.write(f"warning: step {self.step}: {warning}", file=sys.stderr)
        self.collapsed = bool(warning)
        return found

    def show(self, row):
        """Writes a row of the history, learning rate and speed as TensorBoard scalars."""
        (then, step), now = self.since, time.monotonic()
        images = (self.step - step) * self.config.batch_size
        images *= self.model.distribute_strategy.num_replicas_in_sync
        row = row | {
            "learning_rate": float(self.model.optimizer.learning_rate),
            "images_per_second": images / (now - then),
        }
        with self.writer.as_default(self.step):
            for name, value in row.items():
                tf.summary.scalar(name, value)
        self.writer.flush()
        self.since = (time.monotonic(), self.step)

    def close(self):
        self.bar.close()
        for number, handler in self.handlers.items():
            signal.signal(number, handler)


def noise_detection(record, wrong, known):
    """How well the coefficients so far tell right labels from wrong ones.

    Args:
      record: `trainer.methods.example_record.ExampleRecord`.
      wrong: bool (N,).
      known: bool (N,), where the truth is known.

    Returns:
      For each coefficient its mean over right and over wrong labels, and the area under the ROC
      curve when a low one says "wrong"; empty where a group has no example yet.
    """
    means, seen = record.means()
    seen &= known
    scalars = {}
    if 0 < wrong[seen].sum() < seen.sum():
        for name, values in means.items():
            scalars[f"train/{name}_right"] = float(values[seen & ~wrong].mean())
            scalars[f"train/{name}_wrong"] = float(values[seen & wrong].mean())
            scalars[f"train/{name}_auroc"] = float(roc_auc_score(wrong[seen], -values[seen]))
    return scalars
