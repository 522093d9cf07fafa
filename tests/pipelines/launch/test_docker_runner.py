"""Containers that fail, die or are killed, under the Docker runner."""

import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from kfp import dsl, local

from components import images
from pipelines.launch import docker_runner
from tests.image_files import write_images
from trainer.errors import InputError

pytestmark = pytest.mark.docker
PATIENCE = 300  # seconds


def start(cwd, *arguments):
    """A training in containers, in the background."""
    command = [sys.executable, "-m", "pipelines", "run", "--runner=docker", *arguments]
    return subprocess.Popen(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def containers_of(engine, directory):
    """Running containers that write below a directory."""
    return [
        container
        for container in engine.containers.list()
        if any(mount["Source"].startswith(str(directory)) for mount in container.attrs["Mounts"])
    ]


def until(found, process):
    """Waits for what a function finds while a process runs."""
    deadline = time.monotonic() + PATIENCE
    while not (result := found()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return result


def test_sixty_deaths_are_sixty_failures(engine):
    """Short containers, several at a time: kfp itself would count some of them as successes."""

    def die(status):
        return docker_runner.run_container(
            engine, images.TRAINER, ["sh", "-c", f"exit {status}"], {}
        )

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(die, [1 + i % 5 for i in range(60)]))
    assert found == [1 + i % 5 for i in range(60)]


def test_a_component_that_dies_fails_its_pipeline(engine, tmp_path):
    @dsl.component(base_image=images.TRAINER, install_kfp_package=False)
    def die():
        import os

        os._exit(3)

    local.init(docker_runner.runner([images.TRAINER], set()), pipeline_root=str(tmp_path))
    for _ in range(5):
        with pytest.raises(RuntimeError, match="die"):
            die()


def test_a_training_that_is_killed_resumes_from_its_checkpoint(engine, tmp_path):
    process = start(tmp_path, "--max_iteration=600", "--eval_freq=50")
    out = tmp_path / "runs" / "training"
    (last,) = until(lambda: list(out.glob("training-*/train/checkpoints/last/checkpoint")), process)
    step = json.loads((last.parents[1] / "history.json").read_text())[-1]["step"]
    (container,) = containers_of(engine, tmp_path)
    container.kill()
    said, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert "train: failed, retry in 1 s" in said
    (resumed,) = re.findall(r"resuming at step (\d+)", said)
    assert int(resumed) >= step > 0
    assert json.loads((out / "metrics.json").read_text())["test/top1"] > 0.5


def test_wrong_input_found_in_a_container(engine, tmp_path):
    process = start(tmp_path, "--method=fsr", "--queue_bs=7")
    said, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert errors.startswith("error: --queue_bs: must be a multiple of 10 classes")
    assert errors.count("\n") == 1
    assert "retry in" not in said
    (status,) = tmp_path.glob("runs/training/training-*/record-status/final_status")
    assert json.loads(status.read_text())["state"] == "FAILED"


def test_own_images_have_the_same_path_in_a_container(engine, tmp_path, tmp_path_factory):
    photos = write_images(tmp_path_factory.mktemp("photos") / "all", 10)
    checked = write_images(tmp_path_factory.mktemp("photos") / "checked", 2, seed=1)
    settings = {
        **{"dataset": "image_folder", "data": photos, "trusted": checked, "probe_per_class": 2},
        **{"noise": "none", "noise_ratio": 0, "method": "supervised"},
        **{
            "backbone": "none",
            "image_size": 16,
            "batch_size": 8,
            "max_iteration": 4,
            "eval_freq": 4,
        },
    }
    process = start(tmp_path, *(f"--{name}={value}" for name, value in settings.items()))
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    metrics = json.loads((tmp_path / "runs" / "training" / "metrics.json").read_text())
    assert (metrics["dataset"], metrics["probe_per_class"]) == ("image_folder", 2)


def test_containers_have_the_credentials_for_storage(engine, tmp_path, monkeypatch):
    @dsl.component(base_image=images.TRAINER, install_kfp_package=False)
    def read() -> str:
        import os
        from pathlib import Path

        return Path(os.environ["GOOGLE_APPLICATION_CREDENTIALS"]).read_text()

    (tmp_path / "mine.json").write_text("{}")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "mine.json"))
    runner = docker_runner.runner([images.TRAINER], set())
    local.init(runner, pipeline_root=str(tmp_path / "root"))
    assert read().output == "{}"


def test_gpus_are_asked_for_before_anything_runs(engine, monkeypatch):
    if "nvidia" in engine.info()["Runtimes"]:
        pytest.skip("this machine may have them")
    monkeypatch.setattr(images, "TRAINER_GPU", images.TRAINER)
    with pytest.raises(InputError, match="--gpus: needs these GPUs, their driver and NVIDIA's"):
        docker_runner.runner([images.TRAINER], set(), gpus="all")


def test_what_it_needs_is_there_before_anything_runs(engine, monkeypatch):
    with pytest.raises(InputError, match="image: must be on this machine; run make build-images"):
        docker_runner.runner(["ieg-pipeline/none:1"], set())
    monkeypatch.setenv("DOCKER_HOST", "unix:///none")
    with pytest.raises(InputError, match="--runner: docker needs its engine to run"):
        docker_runner.runner([images.TRAINER], set())
