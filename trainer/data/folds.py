"""Folds of the training examples: each of several runs leaves out one fold and predicts it."""

import numpy as np

from trainer.data.streams import Stream
from trainer.errors import InputError


def fold_of(ids, config):
    """Which fold each example is in: int64 (N,), in [0, audit_folds); -2 where there are none.

    Args:
      ids: int64 (N,), ascending, without those of the probe.
      config: `trainer.settings.training.TrainSettings`.
    """
    if not config.audit_folds:
        return np.full(len(ids), -2)
    check_folds(config, len(ids))
    rng = np.random.default_rng((config.seed, Stream.FOLDS))
    return rng.permutation(len(ids)) % config.audit_folds


def check_folds(config, examples):
    """Raises InputError unless there is an example for each fold."""
    if config.audit_folds > examples:
        rule = f"must be at most the number of training images, {examples}; 3 to 10 are usual"
        raise InputError("--audit_folds", rule, config.audit_folds)
