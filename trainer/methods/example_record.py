"""Coefficients of each training example, recorded during training."""

import numpy as np
import tensorflow as tf


class ExampleRecord(tf.Module):
    """Sum and number of the coefficients of each training example.

    They are float64, in which sums of float32 hardly round: a checkpoint keeps one sum over all
    replicas.

    Args:
      names: Of the coefficients, such as "weight" and "lam".
      num_examples: N.
    """

    def __init__(self, names, num_examples):
        super().__init__()
        self.seen, *sums = (
            tf.Variable(
                tf.zeros(num_examples, tf.float64),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )
            for _ in ("seen", *names)
        )
        self.sums = dict(zip(names, sums, strict=True))

    def add(self, ids, coefficients):
        """Adds the coefficients (B,) of the examples `ids` (B,), by name."""
        for name, values in coefficients.items():
            self.sums[name].assign_add(self.spread(ids, values))
        self.seen.assign_add(self.spread(ids, tf.ones_like(ids)))

    def spread(self, ids, values):
        """(N,), `values` (B,) at `ids` (B,), 0 elsewhere."""
        values = tf.cast(values, tf.float64)
        return tf.scatter_nd(ids[:, tf.newaxis], values, tf.shape(self.seen, ids.dtype))

    def means(self):
        """Mean coefficients, float32 (N,) by name, and which examples were seen, bool (N,)."""
        seen = self.seen.numpy()
        means = {
            name: (total.numpy() / np.maximum(seen, 1)).astype(np.float32)
            for name, total in self.sums.items()
        }
        return means, seen > 0
