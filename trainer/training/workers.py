"""Processes that train one network on several machines, as TF_CONFIG names them."""

import contextlib
import json
import os
import socket
import sys
import time
from pathlib import Path

from trainer import artifacts
from trainer.errors import InputError, Preempted, TrainingError, WorkerLost

SECONDS = 1  # between two signs of life
PATIENCE = 3600  # seconds that a machine may take to start
RESTART = 300  # seconds within which a failed worker has to start again


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


@contextlib.contextmanager
def joined(directory, worker, count, finished, patience=PATIENCE):
    """Joins workers that only share a directory, for a `with` block that trains.

    A worker that fails in the block reports it to the others, which would otherwise wait for it. A
    worker that loses another one starts its own process again and waits until the other one is
    back: TensorFlow cannot leave a cluster, and the orchestrator may not retry a failed task.

    Args:
      directory: A directory that all workers see, used for nothing else.
      worker: Number of this worker.
      count: Number of workers.
      finished: File that exists once the training has ended; then no worker waits.
      patience: Seconds to wait for the others.

    Raises:
      TrainingError: Some workers did not come, or one of them has failed.
    """
    directory = Path(directory)
    find_others(directory, worker, count, finished, patience)
    try:
        yield
    except (WorkerLost, Preempted) as error:
        if isinstance(error, Preempted) and not error.elsewhere:
            raise
        print(f"worker {worker} joins the others again: {error}", file=sys.stderr, flush=True)
        os.environ.pop("TF_CONFIG", None)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    except Exception as error:
        artifacts.write_json(directory / f"{worker}.json", {"failed": str(error)})
        raise


def find_others(directory, worker, count, finished, patience):
    """Finds the addresses of all workers and sets TF_CONFIG.

    Each worker keeps writing its address, unlike workers of an earlier try. The chief lists the
    workers whose files change, and the others wait for a list that has them.
    """
    directory.mkdir(parents=True, exist_ok=True)
    listed = directory / "workers.json"
    if not worker:
        listed.unlink(missing_ok=True)
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    address = f"{socket.gethostbyname(socket.gethostname())}:{port}"
    started = time.time_ns()
    first, changed, restart = {}, {worker: [address, started]}, 0
    for beat in range(patience // SECONDS):
        mine = {"address": address, "started": started, "beat": beat}
        artifacts.write_json(directory / f"{worker}.json", mine)
        signs = {other: read_json(directory / f"{other}.json") for other in range(count)}
        failed = [other for other, seen in signs.items() if seen and "failed" in seen]
        restart = restart + 1 if failed else 0
        if restart * SECONDS > RESTART:
            reason = signs[failed[0]]["failed"]
            raise TrainingError(f"worker {failed[0]} failed and was not started again: {reason}")
        if not worker:
            for other in signs.keys() - changed.keys() - set(failed):
                seen = signs[other]
                if seen and seen != first.setdefault(other, seen):
                    changed[other] = [seen["address"], seen["started"]]
            if len(changed) == count:
                artifacts.write_json(listed, [changed[i] for i in range(count)])
        workers = read_json(listed) or []
        if Path(finished).is_file():
            return
        if [address, started] in workers:
            cluster = {"worker": [host for host, _ in workers]}
            task = {"type": "worker", "index": worker}
            os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
            return
        time.sleep(SECONDS)
    missing = sorted(set(range(count)) - changed.keys()) if not worker else [0]
    names = ", ".join(str(other) for other in missing)
    raise TrainingError(f"worker {worker} of {count} waited {patience} s for worker {names}")


def read_json(file):
    """The content of a JSON file; None if the file is missing or incomplete."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads(file.read_text())


def mean_over_workers(strategy, values):
    """Means over the workers of a number or an array of numbers; every worker has to call this."""
    if this_worker()[1] == 1:
        return values
    import tensorflow as tf

    return strategy.reduce("MEAN", tf.constant(values, tf.float64), axis=None).numpy()
