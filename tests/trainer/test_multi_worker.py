"""Two processes on this machine, as two workers."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from trainer.errors import InputError, TrainingError
from trainer.training import configuration, fit, workers

PATIENCE = 300  # seconds

# The command, with worker 1 sent a signal after one step, and with its last state written down.
COMMAND = """
import os
import keras
import numpy as np
import tensorflow as tf
from trainer import __main__, command_line
from trainer.training import fit, workers

index, _ = workers.this_worker()
number, at_step, state = int(os.environ["SIGNAL"]), int(os.environ["AT_STEP"]), os.environ["STATE"]

class Signalled(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if index == 1 and self.model.optimizer.iterations == at_step:
            os.kill(os.getpid(), number)

def write_state():
    variables = signalled.model.network.variables + signalled.model.optimizer.variables
    np.savez(f"{state}-{index}.npz", *[variable.numpy() for variable in variables])

def train(settings, after_save, **paths):
    fit_train(settings, **paths, after_save=write_state, callbacks=[signalled])

signalled, fit_train, fit.train = Signalled(), fit.train, train
tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
command_line.run(__main__.main, __main__.__doc__, __main__.GROUPS)
"""


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


@pytest.fixture
def run(tmp_path):
    """A function that runs the command in two workers. Returns their statuses and last errors."""
    running = []

    def run(sent=0, at_step=0, **settings):
        flags = {"dataset": "digits_uniform_0.9", "checkpoint_path": tmp_path} | settings
        environment = {"SIGNAL": sent, "AT_STEP": at_step, "STATE": tmp_path / "worker"}
        cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
        for index in range(2):
            task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
            environment["TF_CONFIG"] = json.dumps(task)
            running.append(
                subprocess.Popen(
                    [sys.executable, "-c", COMMAND, *(f"--{k}={v}" for k, v in flags.items())],
                    env=os.environ | {name: str(value) for name, value in environment.items()},
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        errors = [process.communicate(timeout=PATIENCE)[1] for process in running[-2:]]
        return [process.returncode for process in running[-2:]], errors

    yield run
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture
def sums_as_written():
    """Otherwise TensorFlow rearranges sums, differently if two replicas share a graph."""
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
    yield
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": True})


@pytest.mark.slow
@pytest.mark.usefixtures("sums_as_written")
def test_two_workers_end_as_two_replicas_of_one_process(
    run, digits, noisy_labels, probe_split, tmp_path, monkeypatch, two_replicas
):
    """The result of both workers is equal to the last bit, in spite of a SIGTERM to one of them."""
    settings = {"method": "ieg", "batch_size": 50, "max_iteration": 6, "eval_freq": 6}
    statuses, errors = run(signal.SIGTERM, at_step=3, **settings)
    assert statuses == [143, 143], errors
    for error in errors:
        assert "interrupted at step 3; the same command resumes\n" in error
    statuses, errors = run(**settings)
    assert statuses == [0, 0], errors

    monkeypatch.setattr(fit, "replicas", lambda: two_replicas)
    one = tmp_path / "one"
    data = digits, noisy_labels, probe_split
    fit.train(
        configuration.resolve("digits", **settings), *data, one / "checkpoints", one / "model"
    )
    method, _ = fit.restore(one / "checkpoints")
    variables = method.network.variables + method.optimizer.variables
    for index in range(2):
        state = np.load(tmp_path / f"worker-{index}.npz")
        for variable, value in zip(variables, state.values(), strict=True):
            np.testing.assert_array_equal(value, variable, variable.path)
    histories = [root / "checkpoints" / "history.json" for root in (tmp_path, one)]
    assert histories[0].read_text() == histories[1].read_text()


@pytest.mark.slow
def test_a_lost_worker_ends_the_others(run):
    statuses, errors = run(signal.SIGKILL, at_step=3, method="supervised", max_iteration=1000)
    assert statuses == [1, -signal.SIGKILL]
    assert errors[0].splitlines()[-1].startswith("error: another worker was lost; the same command")
    assert "Traceback" not in errors[0]


# As two tasks of a pipeline, which know of each other through a directory only.
TASK = """
import sys

from trainer.training import configuration, resume, workers
worker, root, data = int(sys.argv[1]), sys.argv[2], sys.argv[3:6]
workers.RESTART = 2
settings = configuration.resolve("digits", method="supervised", max_iteration=300, eval_freq=20)
own = f"{root}/{worker}"
resume.train(settings, data, f"{own}/checkpoints", f"{own}/model", root, worker, 2)
"""


@pytest.fixture
def started(tmp_path, digits, noisy_labels, probe_split):
    """A function that starts one of two tasks."""
    running = []

    def start(worker):
        arguments = [str(a) for a in (worker, tmp_path, digits, noisy_labels, probe_split)]
        task = subprocess.Popen(
            [sys.executable, "-c", TASK, *arguments], stderr=subprocess.PIPE, text=True
        )
        running.append(task)
        return task

    yield start
    for task in running:
        task.kill()
        task.wait()


def wait_for(found, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return result


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_task_joins_again_a_worker_that_was_lost(started, tmp_path, number):
    """Only the lost task is started again, as an orchestrator does with a pod that was deleted."""
    chief, lost = started(0), started(1)
    saved = wait_for(lambda: list(tmp_path.glob("supervised-*/history.json")))[0]
    lost.send_signal(number)
    lost.communicate(timeout=PATIENCE)
    assert lost.returncode == (-number if number == signal.SIGKILL else 128 + number)
    again = started(1)
    errors = chief.communicate(timeout=PATIENCE)[1]
    assert again.wait(timeout=PATIENCE) == 0
    assert chief.returncode == 0, errors
    assert "worker 0 joins the others again: " in errors
    assert json.loads(saved.read_text())[-1]["step"] == 300


def test_a_task_does_not_wait_for_one_that_failed_for_good(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "RESTART", 1)
    group = tmp_path / "workers"
    (tmp_path / "finished").touch()
    with (
        pytest.raises(TrainingError, match="loss is nan"),
        workers.joined(group, 0, 2, tmp_path / "finished"),
    ):
        raise TrainingError("loss is nan at step 7")
    with (
        pytest.raises(
            TrainingError, match=r"worker 0 failed and was not .*: loss is nan at step 7"
        ),
        workers.joined(group, 1, 2, tmp_path / "not yet"),
    ):
        pass
    with (
        pytest.raises(TrainingError, match="worker 0 of 2 waited 2 s for worker 1"),
        workers.joined(tmp_path / "others", 0, 2, tmp_path / "not yet", patience=2),
    ):
        pass


def test_the_chief_is_the_first_worker(monkeypatch):
    cluster = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}
    for index, task in enumerate([("chief", 0), ("worker", 0), ("worker", 1)]):
        content = {"cluster": cluster, "task": {"type": task[0], "index": task[1]}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(content))
        assert workers.this_worker() == (index, 3)
    for alone in ("", "{}", '{"cluster": {"worker": ["a:1"]}}'):
        monkeypatch.setenv("TF_CONFIG", alone)
        assert workers.this_worker() == (0, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        "worker 1",
        '{"cluster": {"worker": ["a:1", "b:1"]}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_a_wrong_tf_config(monkeypatch, wrong):
    monkeypatch.setenv("TF_CONFIG", wrong)
    with pytest.raises(InputError, match="TF_CONFIG: must be like"):
        workers.this_worker()
