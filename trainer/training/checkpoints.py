"""Checkpoints of a run: everything that it needs to resume exactly.

<checkpoints>/
  config.json      settings, ids of the data, versions
  network.json     fine-tuning: the layers of the network
  history.json     a row per test: step, means of the losses since the last test, accuracies, and
                   how well the coefficients separate true from wrong labels
  last/ckpt-*      TensorFlow checkpoints, the last two: weights, moving statistics, momentum,
                   EMA weights, step, running means of the losses, coefficients of each example,
                   seconds so far
  tensorboard/     the history, learning rate and images per second as scalars
  best/ckpt-*      the checkpoint with the highest test accuracy of the EMA weights
  manifest.json    written when the run has finished: method, data, seconds
"""

import dataclasses
import json
import subprocess
import tempfile
import time
from pathlib import Path

import keras
import tensorflow as tf

import trainer
from trainer import artifacts, outputs
from trainer.errors import TrainingError

SETTINGS = "config.json"


def open_directory(path, config, parents, chief=True):
    """The directory of checkpoints: a new one, or that of an earlier run with the same settings.

    Args:
      path: The directory.
      config: `trainer.settings.training.TrainSettings`.
      parents: Manifests of the data, by kind.
      chief: Whether to write; other workers only check.

    Raises:
      InputError: It belongs to another run, or cannot be written.
    """
    identity = {
        "config": dataclasses.asdict(config),
        "parents": {kind: parent["id"] for kind, parent in parents.items()},
    }
    there = outputs.check_same_run("checkpoint directory", path, SETTINGS, identity)
    if chief and not there:
        artifacts.start(path)
        artifacts.write_json(Path(path, SETTINGS), identity | {"versions": versions()})
    return Path(path)


def versions():
    """Versions of Python and the libraries, and the git revision of the code if there is one."""
    root = Path(trainer.__file__).parents[1]
    git = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        revision = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    except OSError:
        revision = ""
    return {
        "ieg-pipeline": trainer.__version__,
        "git": revision or None,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }


class Checkpoints:
    """The checkpoints of one method in one directory.

    Args:
      method: `trainer.methods.method.Method`, compiled.
      directory: Their directory; all workers read it.
      chief: Whether to write it.
      after_save: Called after each checkpoint.
    """

    def __init__(self, method, directory, chief=True, after_save=lambda: None):
        directory = Path(directory)
        self.method = method
        self.directory = directory
        self.chief = chief
        self.after_save = after_save
        self.history_file = directory / "history.json"
        self.history = []
        self.started = self.saved = time.monotonic()
        self.saved_step = None
        self.spent = tf.Variable(0.0, trainable=False)  # seconds, when it was saved
        checkpoint = tf.train.Checkpoint(**method.state, seconds=self.spent)
        self.last = tf.train.CheckpointManager(checkpoint, str(directory / "last"), max_to_keep=2)
        self.best = tf.train.CheckpointManager(checkpoint, str(directory / "best"), max_to_keep=1)

    @property
    def step(self):
        """Steps taken."""
        return int(self.method.optimizer.iterations.numpy())

    @property
    def seconds(self):
        """Seconds that the run has taken, with earlier tries up to their last checkpoint."""
        return time.monotonic() - self.started

    @property
    def due(self):
        """Whether the last checkpoint is older than `checkpoint_minutes`."""
        minutes = self.method.config.checkpoint_minutes
        return 0 < minutes <= (time.monotonic() - self.saved) / 60

    def restore(self):
        """Resumes from the newest checkpoint that can be read, if there are any.

        Raises:
          TrainingError: None of them can be read.
        """
        names = self.last.checkpoints[::-1]
        for name in names:
            try:
                self.last.checkpoint.restore(name).assert_existing_objects_matched()
                break
            except (tf.errors.OpError, IndexError, ValueError) as error:
                print(
                    f"{name} cannot be read ({str(error).splitlines()[0]}); trying the one before"
                )
        else:
            if names:
                raise TrainingError(f"no checkpoint in {Path(names[0]).parent} can be read")
        self.started -= float(self.spent)
        if self.history_file.is_file():
            rows = json.loads(self.history_file.read_text())
            self.history = [row for row in rows if row["step"] <= self.step]

    def save(self):
        """Saves the state of this step."""
        self.save_to(self.last)
        self.after_save()
        self.saved, self.saved_step = time.monotonic(), self.step

    def save_to(self, manager):
        """Saves a checkpoint. All workers take part, as sums over replicas need all of them."""
        self.spent.assign(self.seconds)
        if self.chief:
            manager.save(self.step)
        else:
            with tempfile.TemporaryDirectory() as directory:
                manager.checkpoint.write(f"{directory}/ckpt")

    def add_row(self, row):
        """Adds a row to the history and saves a checkpoint, also as the best one if it is.

        The history is written first: a run that is cut off in between resumes at an earlier
        step, drops the rows after it, and adds them again.

        Raises:
          TrainingError: A weight is not finite; the checkpoints before are kept.
        """
        for variable in self.method.network.variables:
            if not tf.reduce_all(tf.math.is_finite(variable.value)):
                raise TrainingError(f"{variable.path} is not finite after step {self.step}")
        best = max((earlier["test/top1"] for earlier in self.history), default=-1)
        self.history.append({"step": self.step, **row})
        if self.chief:
            artifacts.write_json(self.history_file, self.history)
        if row["test/top1"] > best:
            self.save_to(self.best)
        self.save()
