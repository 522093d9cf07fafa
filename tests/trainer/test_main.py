import json
import subprocess
import sys


def test_cifar10_from_prepared_records_to_accuracy(tfds_data_dir, tmp_path):
    """The command of the IEG release, on a small set in the same form."""
    flags = {
        "dataset": "cifar10_uniform_0.4",
        "network_name": "resnet29",
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
