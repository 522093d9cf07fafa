"""Tests a trained run.

<metrics>/
  metrics.json     flat: test/top1 and test/top5 with EMA weights, test/top1_raw and
                   test/top5_raw without; and RUN_FACTS
  confusion.npy    int64 (C, C): [i, j] counts images of class i predicted as j, with EMA
                   weights
  history.json     and config.json, copied from the run, see `trainer.training.checkpoints`
  manifest.json    class_names
"""

import shutil
from pathlib import Path

import numpy as np

from trainer import artifacts
from trainer.data import records
from trainer.errors import InputError
from trainer.evaluation import predictions
from trainer.training import fit

CONFUSION = "confusion.npy"
RUN_FACTS = (
    "method",
    "seed",
    "dataset",
    "noise",
    "noise_ratio",
    "wrong_labels",
    "probe_per_class",
    "seconds",
)


def evaluate(dataset_path, checkpoints_path, metrics_path, name="test", embeddings_path=None):
    """Accuracy of a run on the test split of its dataset, or of another one of the same classes.

    Args:
      dataset_path: Directory of the prepared dataset.
      checkpoints_path: Directory of the run's checkpoints.
      metrics_path: Directory to write.
      name: Prefix of the names of the accuracies.
      embeddings_path: Directory of the embeddings of the images, if there are any.

    Returns:
      The metrics, by name; accuracies in [0, 1].

    Raises:
      InputError: The dataset has other classes, or in another order.
    """
    dataset = records.read_manifest(dataset_path)
    check_classes(artifacts.read(checkpoints_path, artifacts.CHECKPOINTS), dataset)
    method, run = fit.restore(checkpoints_path, embeddings_path)
    batches = predictions.batches(dataset_path, method, "test")
    accuracies = method.evaluate(batches, return_dict=True, verbose=0)
    metrics = {f"{name}/{accuracy}": float(value) for accuracy, value in accuracies.items()}
    metrics |= {fact: run[fact] for fact in RUN_FACTS}
    parents = {artifacts.PREPARED_DATASET: dataset, artifacts.CHECKPOINTS: run}
    with artifacts.writing(metrics_path) as directory:
        artifacts.write_json(directory / "metrics.json", metrics)
        for kept in ("history.json", "config.json"):
            shutil.copy(Path(checkpoints_path) / kept, directory)
        np.save(directory / CONFUSION, method.confusion.total_cm.numpy().astype(np.int64))
        names = dataset["class_names"]
        artifacts.finish(directory, artifacts.METRICS, parents, class_names=names)
    return metrics


def check_classes(run, dataset):
    """Raises InputError unless run and dataset have the same classes in the same order."""
    pairs = zip(run["class_names"], dataset["class_names"])
    difference = next((f"{a}, not {b}" for a, b in pairs if a != b), None)
    if difference or len(run["class_names"]) != len(dataset["class_names"]):
        rule = f"must have the {len(run['class_names'])} classes of the run, in their order"
        received = f"{len(dataset['class_names'])} classes"
        if difference:
            received = f"a run with {difference}"
        raise InputError("prepared_dataset", rule, received)
