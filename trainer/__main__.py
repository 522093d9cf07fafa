"""Trains a classifier on noisy labels, from the name of a dataset to its test accuracy.

    python -m trainer --dataset=digits_uniform_0.9 --method=ieg --checkpoint_path=out

The same command again goes on where it stopped.
"""

import dataclasses
import json
from pathlib import Path

from absl import flags

from trainer import command_line, config, manifest, predict, run_directory, storage, workers
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
MODES = ("train", "evaluation", "audit", "export", "report", "review", "predict")
MODE = flags.DEFINE_string(
    "mode",
    "train",
    "train and test; or with what stands in --checkpoint_path: evaluation, audit (which labels are"
    " wrong), export (a model to serve), report (a page on all of this), review (take the decisions"
    " in --review); or predict, with --model and image files or folders",
)
MODEL = flags.DEFINE_string("model", None, "predict: directory of an exported model")
JSON = flags.DEFINE_boolean("json", False, "predict: JSON lines, with all probabilities")
CSV = flags.DEFINE_boolean("csv", False, "predict: CSV, with all probabilities")
REVIEW = flags.DEFINE_string("review", None, "review: a label_issues.csv with decisions")
CHECKPOINT_PATH = flags.DEFINE_string(
    "checkpoint_path", None, "directory for all outputs; runs/<dataset>/<method> unless given"
)
for name, reason in NO_EFFECT.items():
    flags.DEFINE_boolean(name, None, f"accepted from commands of the IEG release; {reason}")
flags.DEFINE_alias("dataset_dir", "data")  # its name in the IEG release
flags.adopt_module_key_flags(command_line)


def main(arguments):
    config.check_choice("mode", MODE.value, MODES)
    if arguments and MODE.value != "predict":
        raise InputError("arguments", "must be flags, --name=value", arguments[0])
    if bool(MODEL.value) != (MODE.value == "predict"):
        raise InputError("--model", "names the directory for --mode=predict", MODEL.value)
    if MODE.value == "predict":
        if JSON.value and CSV.value:
            raise InputError("--csv", "says otherwise than --json; give one of them", True)
        form = "json" if JSON.value else "csv" if CSV.value else "table"
        return min(1, predict.predict(Path(MODEL.value), arguments, form))
    if bool(REVIEW.value) != (MODE.value == "review"):
        raise InputError("--review", "names the file for --mode=review", REVIEW.value)
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
            run_directory.train(root, dataset, noise, noise_ratio, files, settings, worker, send)
        if worker:
            return
        if MODE.value == "audit":
            found = run_directory.audit(root, settings.audit_folds)
        elif MODE.value == "export":
            found = run_directory.export(root)
        elif MODE.value == "report":
            found = {"report": run_directory.report(root)}
        elif MODE.value == "review":
            found = {"decisions": run_directory.review(root, REVIEW.value)}
        else:
            found = run_directory.evaluate(root, files, USE_IMAGENET_AS_EVAL.value)
    print(json.dumps(found, indent=2))
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


if __name__ == "__main__":
    command_line.run(main, expand)
