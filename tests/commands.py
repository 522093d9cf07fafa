"""Commands in forks of one process that has imported the libraries, which takes them a second."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["kfp.compiler", "kfp.local", "sklearn.datasets"])


def run(*command, cwd):
    """`python -m *command` in the directory `cwd`, as `subprocess.run` returns it."""
    with tempfile.TemporaryDirectory() as streams:
        process = forks.Process(target=run_module, args=(command, cwd, streams))
        process.start()
        process.join()
        said = (Path(streams, name).read_text() for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(command, process.exitcode, *said)


def run_module(command, cwd, streams):
    os.chdir(cwd)
    for number, name in enumerate(("stdout", "stderr"), start=1):
        os.dup2(os.open(f"{streams}/{name}", os.O_WRONLY | os.O_CREAT), number)
    sys.argv = list(command)
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)
