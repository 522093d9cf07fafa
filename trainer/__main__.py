"""Trains a classifier on noisy labels, from the name of a dataset to its test accuracy.

    python -m trainer --dataset=digits_uniform_0.9 --method=ieg --checkpoint_path=out

The same command again goes on where it stopped.
"""

import dataclasses
import json

from absl import flags

from trainer import command_line, config, manifest, storage, workers
from trainer.config import DataConfig, TrainConfig
from trainer.errors import InputError
from trainer.experiments import EXPERIMENTS, expand

NO_EFFECT = {
    "ds_include_metadata": "ids and clean labels are always there",
    "use_ema": "weights are always averaged",
    "post_batch_mode_autoaug": "unused there",
}
DATASET = flags.DEFINE_string(
    "dataset",
    "digits_uniform_0.9",
    "<dataset>_<noise>_<ratio>, or <dataset> alone with its labels as they are;"
    f" datasets: {', '.join(config.DATASETS)}, tfds:<name>; noises: {', '.join(config.NOISES)}",
)
EXPERIMENT = flags.DEFINE_string(
    "experiment", None, f"the flags of a published experiment: {', '.join(EXPERIMENTS)}"
)
USE_IMAGENET_AS_EVAL = flags.DEFINE_boolean(
    "use_imagenet_as_eval", False, "webvisionmini: test on the ImageNet validation set as well"
)
MODE = flags.DEFINE_string(
    "mode", "train", "train, or evaluation of what stands in --checkpoint_path"
)
CHECKPOINT_PATH = flags.DEFINE_string(
    "checkpoint_path", None, "directory for all outputs; runs/<dataset>/<method> unless given"
)
for name, reason in NO_EFFECT.items():
    flags.DEFINE_boolean(name, None, f"accepted from commands of the IEG release; {reason}")
flags.DEFINE_alias("dataset_dir", "data")  # its name in the IEG release
flags.adopt_module_key_flags(command_line)


def main(arguments):
    if arguments:
        raise InputError("arguments", "must be flags, --name=value", arguments[0])
    config.check_choice("mode", MODE.value, ("train", "evaluation"))
    dataset, noise, noise_ratio = config.parse_dataset(DATASET.value)
    files = config.resolve_data(DATASET.value, **command_line.given(DataConfig))
    config.check_data(dataset, noise, noise_ratio, files)
    if USE_IMAGENET_AS_EVAL.value and dataset != "webvisionmini":
        raise InputError("--use_imagenet_as_eval", "is for --dataset=webvisionmini", dataset)
    settings = config.resolve(dataset, **command_line.given(TrainConfig))
    place = CHECKPOINT_PATH.value or f"runs/{DATASET.value}/{settings.method}"
    worker, count = workers.this_worker()
    if worker:
        print(f"worker {worker} of {count}; worker 0 shows the progress and writes to {place}")
    if count > 1 and storage.is_remote(place):
        rule = "must be a directory that all workers see, such as a mounted bucket"
        raise InputError("--checkpoint_path", rule, place)
    with storage.mirrored(place) as (root, send):
        if MODE.value == "train":
            claim(root, files, settings, worker)
            train(root, dataset, noise, noise_ratio, files, settings, worker, send)
        if worker:
            return
        metrics = evaluate(root, files)
    print(json.dumps(metrics, indent=2))
    print(f"outputs: {place}")


def claim(root, files, settings, worker):
    """Makes `root` the directory of this run; InputError if it is that of another one."""
    run = {"dataset": DATASET.value} | dataclasses.asdict(files) | dataclasses.asdict(settings)
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


def train(root, dataset, noise_kind, noise_ratio, files, settings, worker, send):
    """The steps of the training pipeline up to the training, in one process.

    The chief, worker 0, prepares the data for all. Each checkpoint is sent at once.
    """
    from trainer import fit
    from trainer.data import noise, probe, records

    data, noisy_labels = root / manifest.PREPARED_DATASET, root / manifest.NOISY_LABELS
    split, checkpoints = root / manifest.PROBE_SPLIT, root / manifest.CHECKPOINTS
    fit.replicas()  # before TFDS uses TensorFlow
    if not worker:
        records.prepare(dataset, data, files)
        kind = noise_kind, noise_ratio, settings.seed, files.noise_file, files.label_column
        noise.inject(data, noisy_labels, *kind)
        size = files.probe_per_class, settings.seed, files.probe_dataset_hold_ratio
        probe.split(data, split, *size)
    fit.train(
        settings,
        data,
        noisy_labels,
        split,
        checkpoints,
        root / manifest.MODEL,
        after_save=lambda: send(manifest.CHECKPOINTS),
    )


def evaluate(root, files):
    """The last step of the training pipeline. Returns the metrics."""
    checkpoints = root / manifest.CHECKPOINTS
    manifest.read(checkpoints, manifest.CHECKPOINTS)  # before the slow import
    from trainer import evaluate
    from trainer.data import records

    metrics = evaluate.evaluate(
        root / manifest.PREPARED_DATASET, checkpoints, root / manifest.METRICS
    )
    if USE_IMAGENET_AS_EVAL.value:
        imagenet = root / "imagenet"
        records.prepare("imagenet2012_val", imagenet / manifest.PREPARED_DATASET, files)
        metrics |= evaluate.evaluate(
            imagenet / manifest.PREPARED_DATASET,
            checkpoints,
            imagenet / manifest.METRICS,
            name="imagenet",
        )
    return metrics


if __name__ == "__main__":
    command_line.run(main, expand)
