import contextlib
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from trainer import storage


@pytest.fixture
def rng():
    """Random numbers that follow from no other test."""
    return np.random.default_rng(0)


class Server:
    """An emulator of Cloud Storage; what it holds is on disk."""

    def __init__(self, root):
        self.root = root
        with socket.socket() as free:
            free.bind(("localhost", 0))
            self.port = free.getsockname()[1]
        self.start()

    @property
    def address(self):
        return f"http://localhost:{self.port}"

    def start(self):
        command = [Path(sys.executable).parent / "gcp-storage-emulator", "-d", self.root, "start"]
        self.log = open(f"{self.root}.log", "w")  # noqa: SIM115, closed by `kill`
        self.process = subprocess.Popen(
            [*command, f"--port={self.port}", "--default-bucket=photos"],
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        while self.process.poll() is None:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(self.address).close()
                return
            time.sleep(0.05)
        raise RuntimeError(Path(self.log.name).read_text())

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("emulator") / "storage")
    yield server
    server.kill()


@pytest.fixture
def bucket(emulator, tmp_path, monkeypatch):
    """A bucket on the server, and an empty cache."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.address)
    monkeypatch.setenv("IEG_CACHE", str(tmp_path / "cache"))
    storage.client.cache_clear()
    return storage.client().bucket("photos")
