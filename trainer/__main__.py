"""Trains a classifier on noisy labels, from the name of a dataset to its test accuracy.

    python -m trainer --dataset=digits_uniform_0.9 --method=ieg --checkpoint_path=out

The same command again goes on where it stopped.
"""

import dataclasses
import json
from pathlib import Path

from absl import flags

from trainer import command_line, config, manifest, workers
from trainer.errors import InputError

DATASET = flags.DEFINE_string(
    "dataset",
    "digits_uniform_0.9",
    f"<dataset>_<noise>_<ratio>; datasets: {', '.join(config.DATASETS)};"
    f" noises: {', '.join(config.NOISES)}",
)
PROBE_PER_CLASS = flags.DEFINE_integer("probe_per_class", 10, "trusted examples of each class")
PROBE_DATASET_HOLD_RATIO = flags.DEFINE_float(
    "probe_dataset_hold_ratio", None, "the same as a share of the training examples"
)
TFDS_DATA_DIR = flags.DEFINE_string(
    "tfds_data_dir", None, "where TensorFlow Datasets keeps prepared datasets"
)
MODE = flags.DEFINE_string(
    "mode", "train", "train, or evaluation of what stands in --checkpoint_path"
)
CHECKPOINT_PATH = flags.DEFINE_string(
    "checkpoint_path", None, "directory for all outputs; runs/<dataset>/<method> unless given"
)
flags.adopt_module_key_flags(command_line)


def main(arguments):
    if arguments:
        raise InputError("arguments", "must be flags, --name=value", arguments[0])
    config.check_choice("mode", MODE.value, ("train", "evaluation"))
    dataset, noise, noise_ratio = config.parse_dataset(DATASET.value)
    config.check_data(dataset, noise, noise_ratio, PROBE_PER_CLASS.value)
    config.check_range("probe_dataset_hold_ratio", PROBE_DATASET_HOLD_RATIO.value or 0, 0, 1)
    settings = config.resolve(dataset, **command_line.given_settings())
    root = Path(CHECKPOINT_PATH.value or f"runs/{DATASET.value}/{settings.method}")
    worker, count = workers.this_worker()
    if worker:
        print(f"worker {worker} of {count}; worker 0 shows the progress and writes to {root}")
    if MODE.value == "train":
        claim(root, settings, worker)
        train(root, dataset, noise, noise_ratio, settings, worker)
    if worker:
        return
    metrics = evaluate(root)
    print(json.dumps(metrics, indent=2))
    print(f"outputs: {root}")


def claim(root, settings, worker):
    """Makes `root` the directory of this run; InputError if it is that of another one."""
    run = {flag.name: flag.value for flag in (DATASET, PROBE_PER_CLASS, PROBE_DATASET_HOLD_RATIO)}
    run |= dataclasses.asdict(settings)
    try:
        earlier = json.loads((root / "run.json").read_text())
    except (FileNotFoundError, NotADirectoryError):
        earlier = run
    except (OSError, ValueError) as error:
        raise InputError(
            "--checkpoint_path", f"has an unreadable run.json, {error}", str(root)
        ) from error
    differing = ", ".join(f"{k}={earlier.get(k)}" for k in run if earlier.get(k) != run[k])
    if differing:
        rule = f"holds another run ({differing}); name another directory"
        raise InputError("--checkpoint_path", rule, str(root))
    if worker:
        return
    try:
        root.mkdir(parents=True, exist_ok=True)
        manifest.write_json(root / "run.json", run)
    except OSError as error:
        raise InputError(
            "--checkpoint_path", f"must be writable ({error.strerror})", str(root)
        ) from error


def train(root, dataset, noise_kind, noise_ratio, settings, worker):
    """The steps of the training pipeline up to the training, in one process.

    The chief, worker 0, prepares the data for all.
    """
    from trainer import fit
    from trainer.data import noise, probe, records

    data, noisy_labels = root / manifest.PREPARED_DATASET, root / manifest.NOISY_LABELS
    split, checkpoints = root / manifest.PROBE_SPLIT, root / manifest.CHECKPOINTS
    fit.replicas()  # before TFDS uses TensorFlow
    if not worker:
        prepared = records.prepare(dataset, data, TFDS_DATA_DIR.value)
        noise.inject(data, noisy_labels, noise_kind, noise_ratio, settings.seed)
        probe.split(data, split, probe_per_class(prepared), settings.seed)
    fit.train(settings, data, noisy_labels, split, checkpoints, root / manifest.MODEL)


def evaluate(root):
    """The last step of the training pipeline. Returns the metrics."""
    manifest.read(root / manifest.CHECKPOINTS, manifest.CHECKPOINTS)  # before the slow import
    from trainer import evaluate

    directories = (manifest.PREPARED_DATASET, manifest.CHECKPOINTS, manifest.METRICS)
    return evaluate.evaluate(*(root / name for name in directories))


def probe_per_class(prepared):
    """Trusted examples of each class, from either flag."""
    if PROBE_DATASET_HOLD_RATIO.value is None:
        return PROBE_PER_CLASS.value
    size = int(prepared["num_examples"]["train"] * PROBE_DATASET_HOLD_RATIO.value)
    return size // len(prepared["class_names"])


if __name__ == "__main__":
    command_line.run(main)
