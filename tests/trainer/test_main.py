import json
import re
import signal
import subprocess
import sys
import time

import pytest

from trainer import interrupts


@pytest.mark.parametrize(
    "network_name", ["convnet", pytest.param("resnet29", marks=pytest.mark.slow)]
)
def test_cifar10_from_prepared_records_to_accuracy(tfds_data_dir, tmp_path, network_name):
    """The command of the IEG release, on a small set in the same form."""
    flags = {
        "dataset": "cifar10_uniform_0.4",
        "network_name": network_name,
        "method": "ieg",
        "probe_dataset_hold_ratio": 0.2,
        "batch_size": 10,
        "val_batch_size": 10,
        "max_iteration": 2,
        "tfds_data_dir": tfds_data_dir,
        "checkpoint_path": tmp_path,
    }
    command = [sys.executable, "-m", "trainer", *(f"--{k}={v}" for k, v in flags.items())]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "metrics" / "metrics.json").read_text())
    assert (metrics["dataset"], metrics["probe_per_class"]) == ("cifar10", 2)
    run = json.loads((tmp_path / "checkpoints" / "manifest.json").read_text())
    assert run["config"]["aug_type"] == "autoaug"
    assert run["class_names"][0] == "airplane"


def test_ctrl_c_during_imports_is_one_line(capsys):
    interrupts.one_line(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == "interrupted; the same command resumes\n"


def test_ctrl_c_is_a_checkpoint_and_the_same_command_resumes(tmp_path):
    flags = ("--method=supervised", "--max_iteration=1500", "--eval_freq=50")
    arguments = [sys.executable, "-m", "trainer", *flags, f"--checkpoint_path={tmp_path}/out"]
    first = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("out/checkpoints/last/checkpoint")):
        assert first.poll() is None
        time.sleep(0.1)
    second = subprocess.run(arguments, capture_output=True, text=True)
    assert second.returncode == 2
    assert second.stderr.startswith("error: --checkpoint_path: is in use by process")
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=60)
    assert first.returncode == 130
    (step,) = re.findall(r"\ninterrupted at step (\d+); the same command resumes\n$", said)
    assert "oneDNN" not in said
    third = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    while "resuming" not in (line := third.stderr.readline()):
        assert third.poll() is None
    assert line == f"resuming at step {step}\n"
    third.kill()
    third.communicate()
