"""Keras callbacks of a training: each does one thing at the end of a step."""

import math
import time

import keras
import tensorflow as tf
from tqdm import tqdm

from trainer.errors import TrainingError

TESTED = "test/top1"  # in the logs of a step that was tested


class AfterStep(keras.callbacks.Callback):
    """Counts the steps of the run, starting from the step of its checkpoint.

    Epochs of `fit` are not used. A run resumes from a checkpoint of any step, and is tested where a
    cosine cycle ends, but all epochs of Keras have the same length.
    """

    def on_train_begin(self, logs=None):
        self.step = int(self.model.optimizer.iterations.numpy())

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        self.after_step(logs)

    def after_step(self, logs):
        """Called after each step, with its scalars by name; later callbacks see changes to them."""
        raise NotImplementedError


class FiniteLosses(AfterStep):
    """Ends a run with a loss that is not finite, before anything of it is saved."""

    def after_step(self, logs):
        for name, value in logs.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"{name} is {value:f} at step {self.step}; the checkpoint before it is kept."
                    " A lower --learning_rate or a longer --warmup_epochs may help"
                )


class Progress(AfterStep):
    """A progress bar with loss and accuracy of the last test.

    Args:
      config: `trainer.settings.training.TrainSettings`.
      first_step: Number of steps before this process.
      hidden: Whether to show nothing, because another worker shows it.
    """

    def __init__(self, config, first_step, hidden=False):
        super().__init__()
        self.bar = tqdm(
            desc=config.method,
            initial=first_step,
            total=config.max_iteration,
            unit=" steps",
            disable=hidden,
        )

    def after_step(self, logs):
        if TESTED in logs:
            self.bar.set_postfix(loss=logs["train/loss"], top1=logs[TESTED], refresh=False)
        self.bar.update()

    def close(self):
        self.bar.close()


class TensorBoardScalars(AfterStep):
    """The rows of the history, learning rate and images per second, by step.

    `keras.callbacks.TensorBoard` writes by epoch.

    Args:
      directory: Where to write event files.
    """

    def __init__(self, directory):
        super().__init__()
        self.writer = tf.summary.create_file_writer(str(directory))

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.since = time.monotonic(), self.step

    def after_step(self, logs):
        if TESTED not in logs:
            return
        row = {name: value for name, value in logs.items() if "/" in name}
        row["learning_rate"] = float(self.model.optimizer.learning_rate)
        row["images_per_second"] = self.images_per_second()
        with self.writer.as_default(self.step):
            for name, value in row.items():
                tf.summary.scalar(name, value)
        self.writer.flush()
        self.since = time.monotonic(), self.step

    def images_per_second(self):
        """Training examples of all replicas per second since the last test, including its time."""
        then, first_step = self.since
        images = (self.step - first_step) * self.model.config.batch_size
        images *= self.model.distribute_strategy.num_replicas_in_sync
        return images / (time.monotonic() - then)
