"""Folds of the training examples, each left out by one of several runs, which predicts it."""

import numpy as np

from trainer.data.streams import Stream


def fold_of(ids, config):
    """Which fold each example is in: int64 (N,), in [0, audit_folds); -2 where there are none.

    Args:
      ids: int64 (N,), ascending; not those of the probe.
      config: `trainer.config.TrainConfig`.
    """
    if not config.audit_folds:
        return np.full(len(ids), -2)
    rng = np.random.default_rng((config.seed, Stream.FOLDS))
    return rng.permutation(len(ids)) % config.audit_folds
