"""Runs tasks of kfp's subprocess runner in copies of one process that has imported TensorFlow.

A task is a process of its own, with its own output and exit status, as kfp starts it; only the
imports of seconds are done once. The process is copied before TensorFlow has computed anything, so
no thread of it holds a lock. On other systems than Linux kfp starts its tasks itself.
"""

import contextlib
import gc
import importlib
import json
import multiprocessing
import os
import random
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from trainer import quick

MODULE = "pipelines.launch.task_server"
EXECUTOR = "kfp.dsl.executor_main"
RUNTIME = {"_KFP_RUNTIME": "true"}  # kfp then imports less
IMPORTED = (  # what most tasks import, the first ones first
    *(EXECUTOR, "tensorflow_datasets", "sklearn.datasets", "sklearn.metrics", "scipy.stats"),
    *("trainer.data.records", "trainer.training.resume", "trainer.evaluation.evaluate"),
    *("trainer.report.noise", "matplotlib.backends.backend_svg"),
)


@contextlib.contextmanager
def started(place):
    """A `with` block whose value runs a task, as `run_local_subprocess` of kfp does.

    Args:
      place: Directory of the tasks; it is in the command line of all their processes.
    """
    if sys.platform != "linux":
        yield None
        return
    ours, its = sockets()
    command = [sys.executable, "-m", MODULE, str(place)]
    environment = os.environ | RUNTIME
    with (
        subprocess.Popen(command, stdin=its, stdout=subprocess.DEVNULL, env=environment),
        ours,  # closed, it ends the server
    ):
        its.close()
        yield lambda full_command, env_vars=None: run(ours, full_command, env_vars)


def sockets():
    """A connected pair that waits for as long as a task takes, whatever this process has set."""
    pair = socket.socketpair()
    for each in pair:
        each.settimeout(None)
    return pair


def run(server, full_command, env_vars):
    """Runs a task to its end, and prints what it says. Returns its exit status."""
    _, _, script, source, *arguments = full_command  # sh -ec, with the source as $0
    assert EXECUTOR in script, "a task of kfp's lightweight components"
    request = {
        "source": source,
        "arguments": arguments,
        "environment": {**os.environ, **RUNTIME, **(env_vars or {})},
    }
    try:
        with asked(server, request) as answer:
            for line in answer:
                head, end, status = line.rpartition(END)
                print(head if end else line, end="")
                if end:
                    return int(status)
    except ConnectionError:  # the server, or the process that waits for the task, was killed
        pass
    return -signal.SIGKILL


def asked(server, request):
    """Asks the server for a task. Returns a text stream of what the task says."""
    ours, its = sockets()
    with ours:
        with its:
            socket.send_fds(server, [b"task"], [its.fileno()])
        ours.sendall(json.dumps(request).encode() + b"\n")
        return ours.makefile(encoding="utf-8", errors="backslashreplace")


END = "\x00ended with status "  # the last line, from the process that waits for the task


def serve():
    """Copies this process for each task that is asked for."""
    with socket.socket(fileno=os.dup(0)) as asked:
        for name in IMPORTED:
            importlib.import_module(name)
        gc.freeze()  # the copies share this memory, as long as no collection writes to it
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tasks
        waiting = []
        while True:
            message, places, *_ = socket.recv_fds(asked, 16, 1)
            if not message:
                sys.exit()
            if not (pid := os.fork()):
                asked.close()
                wait_for_task(socket.socket(fileno=places[0]))
                os._exit(0)
            os.close(*places)
            waiting = [each for each in (*waiting, pid) if not os.waitpid(each, os.WNOHANG)[0]]


def wait_for_task(place):
    """Runs a task in another copy of this process, and says how it ends.

    Such a process ends without a look at all of its memory, which takes 0.3 s.
    """
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the server alone hears what is asked for
    request = json.loads(place.makefile(encoding="utf-8").readline())
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the task may save a checkpoint first
    task = multiprocessing.get_context("fork").Process(target=carry_out, args=(request, place))
    task.start()
    task.join()
    place.sendall(f"{END}{task.exitcode}\n".encode())


def carry_out(request, place):
    """Does what kfp's own command for a task does; `place` hears what the task says."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (1, 2):
        os.dup2(place.fileno(), stream)
    place.close()
    os.environ.clear()
    os.environ.update(request["environment"])
    random.seed()  # not as in the other copies
    with tempfile.TemporaryDirectory() as directory:
        module = Path(directory, "ephemeral_component.py")  # its name in kfp's own command
        module.write_text(request["source"], encoding="utf-8")
        sys.argv = [EXECUTOR, "--component_module_path", str(module), *request["arguments"]]
        runpy.run_module(EXECUTOR, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    quick.command()
    serve()
