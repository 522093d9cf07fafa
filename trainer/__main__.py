"""Trains a classifier on noisy labels, from the name of a dataset to its test accuracy.

    python -m trainer --dataset=digits_uniform_0.9 --method=ieg --checkpoint_path=out

The same command again resumes where it stopped.
"""

import dataclasses
import json
import os
from pathlib import Path

from absl import flags

from trainer import artifacts, command_line, config, local_run, outputs, storage
from trainer.config import DataConfig, TrainConfig
from trainer.errors import InputError
from trainer.experiments import EXPERIMENTS, expand
from trainer.serving import predict
from trainer.training import workers

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
# Flags that mean something in some of them only.
OF_RUNS = (*dataclasses.fields(DataConfig), *dataclasses.fields(TrainConfig))
FOR_MODES = {
    **{field.name: MODES[:-1] for field in OF_RUNS},
    **{name: MODES[:-1] for name in ("dataset", "checkpoint_path", "experiment")},
    "model": ("predict",),
    "json": ("predict",),
    "csv": ("predict",),
    "review": ("review",),
    "use_imagenet_as_eval": ("train", "evaluation"),
}
PATHS = ("data", "trusted", "test", "noise_file", "imagenet_val", "tfds_data_dir")
OF_MODE = {  # what may differ from the run that the mode works on
    "evaluation": ("data", "imagenet_val", "tfds_data_dir"),
    "audit": ("audit_folds",),
}
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
    mode = MODE.value
    if arguments and mode != "predict":
        raise InputError("arguments", "must be flags, --name=value", arguments[0])
    command_line.check_for(mode, FOR_MODES, "--mode=")
    for flag in (MODEL, REVIEW):
        if mode in FOR_MODES[flag.name] and not flag.value:
            rule = f"must be given for --mode={mode}"
            raise InputError(f"--{flag.name}", rule, flag.value)
    if mode == "predict":
        if JSON.value and CSV.value:
            raise InputError("--csv", "says otherwise than --json; give one of them", True)
        form = "json" if JSON.value else "csv" if CSV.value else "table"
        return min(1, predict.predict(Path(MODEL.value), arguments, form))
    dataset, noise, noise_ratio = config.parse_dataset(DATASET.value)
    files = config.resolve_data(DATASET.value, **command_line.given(DataConfig))
    config.check_data(dataset, noise, noise_ratio, files)
    if USE_IMAGENET_AS_EVAL.value and dataset != "webvisionmini":
        raise InputError("--use_imagenet_as_eval", "is for --dataset=webvisionmini", dataset)
    settings = config.resolve(dataset, **command_line.given(TrainConfig))
    place = CHECKPOINT_PATH.value or f"runs/{DATASET.value}/{settings.method}"
    worker, count = workers.this_worker()
    if count > 1 and storage.is_remote(place):
        rule = "must be a directory that all workers see, such as a mounted bucket"
        raise InputError("--checkpoint_path", rule, place)
    seen = ""
    if mode == "train":
        config.check_trusted(settings.method, files)
    if mode == "train" and not worker:
        seen = check_before(place, dataset, noise, files, settings)
    if worker:
        print(f"worker {worker} of {count}; worker 0 shows the progress and writes to {place}")
    with storage.mirrored(place) as (root, send):
        if mode == "train":
            claim(root, files, settings, worker)
            data = dataset, noise, noise_ratio, files
            local_run.train(root, *data, settings, worker, send, seen)
        else:
            if root.is_dir() and not worker:
                outputs.hold(root, "--checkpoint_path")
            given = command_line.given(DataConfig) | command_line.given(TrainConfig)
            given |= {"dataset": DATASET.value} if DATASET.present else {}
            check_same(root, written_alike(given))
        if worker:
            return
        if mode == "audit":
            found = local_run.audit(root, settings.audit_folds)
        elif mode == "export":
            found = local_run.export(root)
        elif mode == "report":
            found = {"report": local_run.report(root)}
        elif mode == "review":
            found = {"decisions": local_run.review(root, REVIEW.value)}
        else:
            found = local_run.evaluate(root, files, USE_IMAGENET_AS_EVAL.value)
    print(json.dumps(found, indent=2))
    print(f"outputs: {place}")


def check_before(place, dataset, noise, files, settings):
    """Raises InputError for what the run would find wrong later; returns a hash of its inputs."""
    from trainer.data import inputs

    seen = inputs.check(dataset, files, noise, [settings])
    if not storage.is_remote(place):
        read = {name: getattr(files, name) for name in inputs.READ}
        outputs.check_apart("--checkpoint_path", place, read)
    return seen


def claim(root, files, settings, worker):
    """Makes `root` the directory of this run; InputError if it is that of another one."""
    run = {"dataset": DATASET.value} | dataclasses.asdict(files) | dataclasses.asdict(settings)
    run = written_alike(run)
    check_same(root, run, run)
    if worker:
        return
    outputs.hold(root, "--checkpoint_path")
    check_same(root, run, run)
    artifacts.write_json(root / "run.json", run)


def check_same(root, given, earlier=None):
    """Raises InputError where `root` is the directory of a run with other settings than these.

    Args:
      root: The directory.
      given: Settings by name.
      earlier: What counts as the run where there is none.
    """
    try:
        earlier = json.loads((root / "run.json").read_text())
    except (FileNotFoundError, NotADirectoryError):
        if earlier is None:  # the mode says what is missing
            return
    except (OSError, ValueError) as error:
        raise InputError(
            "--checkpoint_path", f"has an unreadable run.json, {error}", str(root)
        ) from error
    free = OF_MODE.get(MODE.value, ())
    names = [k for k in given if k not in free and earlier.get(k) != given[k]]
    if names:
        differing = ", ".join(f"{name}={earlier.get(name)}" for name in names)
        rule = f"holds another run ({differing}); name another directory"
        raise InputError("--checkpoint_path", rule, str(root))


def written_alike(settings):
    """The settings as run.json has them: paths are absolute, the parts of a dataset complete."""
    paths = {name: settings[name] for name in PATHS if settings.get(name)}
    found = {k: v if storage.is_remote(v) else os.path.abspath(v) for k, v in paths.items()}
    if "dataset" in settings:
        found["dataset"] = "{}_{}_{}".format(*config.parse_dataset(settings["dataset"]))
    return settings | found


if __name__ == "__main__":
    command_line.run(main, expand)
