"""Tries of one training, on machines that share only a directory of checkpoints."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from tests.trainer.training import test_fit
from tests.trainer.training.at_step import AtStep, stop
from trainer import artifacts
from trainer.errors import InputError, TrainingError
from trainer.training import configuration, fit, resume, workers

SETTINGS = {"method": "ieg", "max_iteration": 25, "eval_freq": 10}


@pytest.fixture
def attempt(digits, noisy_labels, probe_split, tmp_path, monkeypatch):
    """A function that trains on a machine of a name. Returns the manifest."""

    def train(machine, root, **options):
        monkeypatch.setenv("IEG_CACHE", str(tmp_path / machine / "cache"))
        paths = tmp_path / machine / "checkpoints", tmp_path / machine / "model"
        data = digits, noisy_labels, probe_split
        return resume.train(
            configuration.resolve("digits", **SETTINGS), data, *paths, root, **options
        )

    return train


def test_a_volume_that_cannot_be_written_is_named(attempt, tmp_path):
    volume = tmp_path / "volume"
    volume.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", volume]
    if subprocess.run(mount, capture_output=True).returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("mounting a volume needs root")
    try:
        with pytest.raises(InputError, match="checkpoint_root: must be writable for user"):
            attempt("machine", str(volume))
    finally:
        subprocess.run(["umount", volume], check=True)


@pytest.mark.parametrize(
    "remote",
    [pytest.param(False, id="directory"), pytest.param(True, id="gs", marks=pytest.mark.slow)],
)
@pytest.mark.usefixtures("bucket")
def test_another_machine_resumes(attempt, tmp_path, remote):
    root = "gs://photos/checkpoints" if remote else str(tmp_path / "root")
    whole = attempt("whole", "")
    with pytest.raises(KeyboardInterrupt):
        attempt("lost", root, callbacks=[AtStep(14, stop)])
    assert not (tmp_path / "lost" / "checkpoints" / artifacts.MANIFEST).exists()

    steps = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: steps.append(batch)
    )
    run = attempt("second", root, callbacks=[count])
    assert len(steps) == 15  # from step 10 on
    assert run["method"] == whole["method"] == "ieg"
    for a, b in zip(
        *(test_fit.weights(tmp_path / name / "checkpoints") for name in ("second", "whole"))
    ):
        assert (a == b).all()
    attempt("third", root, callbacks=[count])
    assert len(steps) == 15  # what was finished is not trained again
    for name in ("checkpoints", "model"):
        assert artifacts.read(tmp_path / "third" / name, name)["num_examples"] == 1337


def test_a_lost_model_is_made_from_finished_checkpoints(
    supervised_run, digits, noisy_labels, probe_split, tmp_path
):
    places = tmp_path / "checkpoints", tmp_path / "model"
    shutil.copytree(supervised_run / "checkpoints", places[0])
    settings = configuration.restored(artifacts.read(places[0], "checkpoints")["config"])
    fit.train(settings, digits, noisy_labels, probe_split, *places)
    a, b = (
        keras.models.load_model(root / "model" / "model.keras").get_weights()
        for root in (supervised_run, tmp_path)
    )
    assert all((x == y).all() for x, y in zip(a, b, strict=True))


def test_the_name_is_that_of_settings_and_data(digits, noisy_labels, probe_split):
    data = digits, noisy_labels, probe_split
    names = [
        resume.run_name(configuration.resolve("digits", method=method, seed=seed), data)
        for method, seed in (("ieg", 1), ("ieg", 1), ("ieg", 2), ("l2r", 1))
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 3


@pytest.mark.parametrize("root", ["", "gs://photos/checkpoints"])
def test_several_tasks_need_a_directory_that_all_see(attempt, root):
    with pytest.raises(InputError, match="checkpoint_root: must be a directory that all workers"):
        attempt("a", root, worker=0, count=2)


JOIN = """
import os, pathlib, sys
from trainer.training import workers
directory, worker = sys.argv[1], int(sys.argv[2])
workers.find_others(pathlib.Path(directory), worker, 2, "finished", patience=30)
print(os.environ["TF_CONFIG"])
"""


def test_workers_find_each_other_but_not_those_of_an_earlier_attempt(tmp_path, monkeypatch):
    earlier = {"address": "10.0.0.9:3001", "started": 1, "beat": 5}
    artifacts.write_json(tmp_path / "1.json", earlier)
    artifacts.write_json(tmp_path / "workers.json", [["10.0.0.8:3000", 1], ["10.0.0.9:3001", 1]])
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(TrainingError, match="worker 0 of 2 waited 2 s for worker 1"):
        workers.find_others(tmp_path, 0, 2, "finished", patience=2)
    assert "TF_CONFIG" not in os.environ
    started = [
        subprocess.Popen(
            [sys.executable, "-c", JOIN, tmp_path, str(worker)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        for worker in range(2)
    ]
    told = []
    for process in started:
        output, _ = process.communicate(timeout=60)
        monkeypatch.setenv("TF_CONFIG", output)
        told.append((workers.this_worker(), output.partition('"task"')[0]))
    assert [worker for worker, _ in told] == [(0, 2), (1, 2)]
    assert told[0][1] == told[1][1]
    assert "10.0.0.9" not in told[0][1]
