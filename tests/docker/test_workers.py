"""Two containers on one Docker network train together."""

import json
import re
import shutil
import time
import uuid

import pytest

from components import images

pytestmark = pytest.mark.docker
PATIENCE = 300  # seconds
TRAIN = """
import sys
from trainer.training import configuration
from trainer.training import resume
worker, shared = int(sys.argv[1]), "/shared"
data = [f"{shared}/{name}" for name in ("prepared_dataset", "noisy_labels", "probe_split")]
settings = configuration.resolve("digits", method="ieg", max_iteration=600, eval_freq=50)
own = f"{shared}/{worker}"
resume.train(settings, data, f"{own}/checkpoints", f"{own}/model", shared, worker, 2)
"""


@pytest.fixture
def started(engine):
    """A function that starts a container of the trainer on a network of its own."""
    network = engine.networks.create(f"ieg-test-{uuid.uuid4().hex[:8]}")
    running = []

    def start(name, command, directory, **options):
        container = engine.containers.run(
            images.TRAINER,
            command,
            network=network.name,
            hostname=name,
            name=f"{network.name}-{name}",
            volumes={str(directory): {"bind": "/shared"}},
            user="0",
            detach=True,
            **options,
        )
        running.append(container)
        return container

    start.network = network.name
    yield start
    for container in running:
        container.remove(force=True)
    network.remove()


def statuses(containers):
    """Exit statuses, and the output if one is not 0."""
    ended = [container.wait(timeout=PATIENCE)["StatusCode"] for container in containers]
    return [
        status and container.logs().decode()[-2000:] for status, container in zip(ended, containers)
    ]


def history(directory):
    return json.loads((directory / "checkpoints" / "history.json").read_text())


def test_named_by_tf_config(started, tmp_path):
    hosts = [f"{started.network}-{name}:2222" for name in ("a", "b")]
    flags = {"dataset": "digits_uniform_0.9", "method": "ieg", "max_iteration": 6}
    command = [f"--{name}={value}" for name, value in flags.items()]
    containers = []
    for index, name in enumerate("ab"):
        config = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        environment = {"TF_CONFIG": json.dumps(config)}
        arguments = [*command, "--checkpoint_path=/shared/run"]
        containers.append(started(name, arguments, tmp_path, environment=environment))
    assert statuses(containers) == [0, 0]
    assert b"worker 1 of 2" in containers[1].logs()
    assert history(tmp_path / "run")[-1]["step"] == 6


def test_named_by_a_directory_and_again_after_one_was_lost(
    started, tmp_path, digits, noisy_labels, probe_split
):
    """As two tasks of Kubeflow, which know of each other through a volume only."""
    for path in (digits, noisy_labels, probe_split):
        shutil.copytree(path, tmp_path / path.name)

    def start(name, worker):
        return started(name, ["python", "-c", TRAIN, str(worker)], tmp_path)

    chief, lost = start("a", 0), start("b", 1)
    deadline = time.monotonic() + PATIENCE
    while not (saved := list(tmp_path.glob("ieg-*/last/checkpoint"))):
        assert time.monotonic() < deadline, statuses([lost])
        time.sleep(0.2)
    lost.kill()
    step = json.loads((saved[0].parents[1] / "history.json").read_text())[-1]["step"]
    assert statuses([chief, start("c", 1)]) == [0, 0]
    assert history(tmp_path / "0")[-1]["step"] == 600
    again = chief.logs().decode().partition("worker 0 joins the others again")[2]
    assert min(map(int, re.findall(r"(\d+)/600", again))) >= step > 0
