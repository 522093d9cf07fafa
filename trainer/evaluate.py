"""Testing a trained run.

<metrics>/
  metrics.json     flat: test/top1 and test/top5 with averaged weights, test/top1_raw and
                   test/top5_raw without; and RUN_FACTS
  manifest.json
"""

from trainer import fit, manifest
from trainer.data import records, views

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


def evaluate(dataset_path, checkpoints_path, metrics_path, split="test"):
    """Accuracy of a run on one split of the dataset it was trained on.

    Args:
      dataset_path: Directory of the prepared dataset.
      checkpoints_path: Directory of the run's checkpoints.
      metrics_path: Directory to write.
      split: Name of the split.

    Returns:
      The metrics, by name; accuracies in [0, 1].
    """
    dataset = records.read_manifest(dataset_path)
    manifest.check_parent(manifest.read(checkpoints_path, manifest.CHECKPOINTS), dataset)
    method, run = fit.restore(checkpoints_path)
    batches = views.test_batches(dataset_path, method.config, method.config.val_batch_size, split)
    accuracies = method.evaluate(batches, return_dict=True, verbose=0)
    metrics = {f"{split}/{name}": float(value) for name, value in accuracies.items()}
    metrics |= {name: run[name] for name in RUN_FACTS}
    directory = manifest.start(metrics_path)
    manifest.write_json(directory / "metrics.json", metrics)
    manifest.finish(
        directory, manifest.METRICS, {manifest.PREPARED_DATASET: dataset, manifest.CHECKPOINTS: run}
    )
    return metrics
