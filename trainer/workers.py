"""The processes that train together on several machines, as TF_CONFIG names them."""

import contextlib
import json
import os
import socket
import time
from pathlib import Path

from trainer import manifest
from trainer.errors import InputError, TrainingError

PORT = 2222
SECONDS = 1  # between two signs of life
PATIENCE = 3600  # seconds that a machine may take to start


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


def join(directory, worker, count, port=PORT, patience=PATIENCE):
    """Names workers to each other that only share a directory: sets TF_CONFIG.

    Each writes its address, again and again, as workers of an earlier attempt do not; the chief
    lists those that it has seen change, and the others wait for a list with themselves in it.

    Args:
      directory: One that all see, for nothing else.
      worker: Which one this is.
      count: How many there are.
      port: Where this one listens to the others.
      patience: Seconds to wait for them.

    Raises:
      TrainingError: They did not all come.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    listed = directory / "workers.json"
    if not worker:
        listed.unlink(missing_ok=True)
    address = f"{socket.gethostbyname(socket.gethostname())}:{port}"
    started = time.time_ns()
    first, changed = {}, {worker: [address, started]}
    for beat in range(patience // SECONDS):
        manifest.write_json(directory / f"{worker}.json", [address, started, beat])
        if not worker:
            for other in set(range(count)) - set(changed):
                seen = content(directory / f"{other}.json")
                if seen and seen != first.setdefault(other, seen):
                    changed[other] = seen[:2]
            if len(changed) == count:
                manifest.write_json(listed, [changed[i] for i in range(count)])
        workers = content(listed) or []
        if [address, started] in workers:
            cluster = {"worker": [host for host, _ in workers]}
            task = {"type": "worker", "index": worker}
            os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
            return
        time.sleep(SECONDS)
    raise TrainingError(f"worker {worker} of {count} waited {patience} s for the others")


def content(file):
    """What a JSON file holds; None if it is not there, or not all of it."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads(file.read_text())


def mean(strategy, value):
    """Mean of a number over the workers, each of which has to call this."""
    if this_worker()[1] == 1:
        return value
    import tensorflow as tf

    return float(strategy.reduce("MEAN", tf.constant(float(value), tf.float64), axis=None))
