"""The processes that train together on several machines, as TF_CONFIG names them."""

import json
import os

from trainer.errors import InputError


def this_worker():
    """Which worker this process is, 0 being the chief, and how many there are.

    Raises:
      InputError: TF_CONFIG is not JSON, or does not name this process.
    """
    text = os.environ.get("TF_CONFIG") or "{}"
    try:
        content = json.loads(text)
        cluster = content.get("cluster", {})
        tasks = [(kind, i) for kind in sorted(cluster) for i in range(len(cluster[kind]))]
        if set(cluster) - {"chief", "worker"} or ("chief", 1) in tasks:
            raise ValueError
        if len(tasks) < 2:
            return 0, 1
        return tasks.index((content["task"]["type"], int(content["task"]["index"]))), len(tasks)
    except (ValueError, TypeError, KeyError, AttributeError):
        rule = (
            'must be like {"cluster": {"worker": ["host:port", "host:port"]}, "task": {"type":'
            ' "worker", "index": 0}}, with one chief at most and the task in the cluster'
        )
        raise InputError("TF_CONFIG", rule, text) from None


def mean(strategy, value):
    """Mean of a number over the workers, each of which has to call this."""
    if this_worker()[1] == 1:
        return value
    import tensorflow as tf

    return float(strategy.reduce("MEAN", tf.constant(float(value), tf.float64), axis=None))
