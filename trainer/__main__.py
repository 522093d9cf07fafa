"""Trains a classifier on noisy labels, from the name of a dataset to its test accuracy.

    python -m trainer --dataset=digits_uniform_0.9 --method=ieg --checkpoint_path=out

The same command again resumes where it stopped.
"""

import contextlib
import dataclasses
import json
import os
from pathlib import Path

from absl import flags

from trainer import artifacts, backbones, command_line, dataset_flags, local_run, outputs, storage
from trainer.data import request
from trainer.errors import InputError
from trainer.serving import predict
from trainer.settings.data import DataSettings
from trainer.settings.experiments import expand
from trainer.settings.fields import check_choice
from trainer.training import candidates, configuration, workers

NO_EFFECT = {
    "ds_include_metadata": "ids and clean labels are always there",
    "use_ema": "EMA weights are always kept",
    "post_batch_mode_autoaug": "the release does not use it",
}
MODES = ("train", "evaluation", "audit", "export", "report", "review", "predict")
# The modes that use a flag.
OF_RUNS = (*(field.name for field in dataclasses.fields(DataSettings)), *configuration.fields())
FOR_MODES = {
    **dict.fromkeys(OF_RUNS, MODES[:-2]),
    **dict.fromkeys(("dataset", "noise", "noise_ratio", "source", "experiment"), MODES[:-2]),
    "checkpoint_path": MODES[:-1],
    "model": ("predict",),
    "json": ("predict",),
    "csv": ("predict",),
    "decisions": ("review",),
    "use_imagenet_as_eval": ("train", "evaluation"),
}
OF_MODE = {  # what may differ from the run that the mode works on
    "evaluation": ("data", "imagenet_val", "tfds_data_dir"),
    "audit": ("audit_folds",),
}
MODE = flags.DEFINE_string(
    "mode",
    "train",
    "what to do: train (and test); for a run in --checkpoint_path: evaluation, audit (find label"
    " issues), export (a model to serve), report (one page), review (train again with --decisions);"
    " predict: classify image files or folders with --model",
)
MODEL = flags.DEFINE_string("model", None, "predict: directory of an exported model")
JSON = flags.DEFINE_boolean("json", False, "predict: print JSON lines, with all probabilities")
CSV = flags.DEFINE_boolean("csv", False, "predict: print CSV, with all probabilities")
DECISIONS = flags.DEFINE_string("decisions", None, "review: decisions.csv, as the report saves it")
CHECKPOINT_PATH = flags.DEFINE_string(
    "checkpoint_path",
    None,
    "directory for all outputs; runs/<dataset>/<method> unless given; review: found by --decisions",
)
for name, reason in NO_EFFECT.items():
    flags.DEFINE_boolean(name, None, f"accepted from commands of the IEG release; {reason}")
GROUPS = {
    "Command": [
        *("*mode", "*checkpoint_path", "model", "json", "csv", "decisions"),
    ],
    **dataset_flags.GROUP,
    "Accepted from commands of the IEG release": [*NO_EFFECT],
}
flags.DEFINE_alias("dataset_dir", "data")  # its name in the IEG release
flags.adopt_module_key_flags(dataset_flags)


def check_flags(mode, arguments):
    """Raises InputError for arguments or flags that the mode does not use, or lacks."""
    check_choice("mode", mode, MODES)
    if arguments and mode != "predict":
        raise InputError("arguments", "must be flags, --name=value", arguments[0])
    command_line.check_for(mode, FOR_MODES, "--mode=")
    for flag in (MODEL, DECISIONS):
        if mode in FOR_MODES[flag.name] and not flag.value:
            rule = f"must be given for --mode={mode}"
            raise InputError(f"--{flag.name}", rule, flag.value)
    if JSON.value and CSV.value:
        raise InputError("--csv", "contradicts --json; give one of them", True)


def predict_files(files):
    """Classifies files and folders. Returns the exit status."""
    form = "json" if JSON.value else "csv" if CSV.value else "table"
    return min(1, predict.predict(Path(MODEL.value), files, form))


def review_run():
    with storage.mirrored(CHECKPOINT_PATH.value or "") as (root, _):
        print(local_run.review(root if CHECKPOINT_PATH.value else None, DECISIONS.value))


def main(arguments):
    mode = MODE.value
    check_flags(mode, arguments)
    if mode == "predict":
        return predict_files(arguments)
    if mode == "review":
        return review_run()
    name, dataset, noise, noise_ratio = dataset_flags.noisy_dataset()
    files = request.resolve(name, **command_line.given_data())
    request.check(dataset, noise, noise_ratio, files)
    dataset_flags.check_imagenet(dataset)
    settings = configuration.resolve(dataset, **command_line.given_training())
    place = CHECKPOINT_PATH.value or f"runs/{name}/{settings.method}"
    worker, count = workers.this_worker()
    if count > 1 and storage.is_remote(place):
        rule = "must be a directory that all workers see, such as a mounted bucket"
        raise InputError("--checkpoint_path", rule, place)
    seen, choices = "", None
    if mode == "train":
        configuration.check_probe(settings.method, files)
        choices = choices_of(dataset, settings, count)
        if dataset_flags.USE_IMAGENET_AS_EVAL.value:
            local_run.check_imagenet(settings)
    if mode == "train" and not worker:
        seen = check_before(place, dataset, noise, files, settings)
    if worker:
        print(f"worker {worker} of {count}; worker 0 shows the progress and writes to {place}")
    with storage.mirrored(place) as (root, send):
        if mode == "train":
            take_directory(root, name, files, settings, worker)
            with free_if_refused(root):
                local_run.train(
                    root,
                    dataset,
                    noise,
                    noise_ratio,
                    files=files,
                    settings=settings,
                    worker=worker,
                    send=send,
                    seen=seen,
                    choices=choices,
                )
        else:
            if root.is_dir() and not worker:
                outputs.hold(root, "--checkpoint_path")
            given = command_line.given_data() | command_line.given_training()
            given |= {"dataset": name} if dataset_flags.given() else {}
            check_same_run(root, with_absolute_paths(given))
        if worker:
            return
        found = results(mode, root, files, settings)
    print(json.dumps(found, indent=2))
    print(f"outputs: {place}")


def results(mode, root, files, settings):
    """What a mode finds out about the run in `root`; of training its test."""
    match mode:
        case "audit":
            return local_run.audit(root, settings.audit_folds)
        case "export":
            return local_run.export(root)
        case "report":
            return {"report": local_run.report(root)}
    return local_run.evaluate(root, files, dataset_flags.USE_IMAGENET_AS_EVAL.value)


def choices_of(dataset, settings, workers):
    """The candidates of --backbone=auto, None for another; InputError if it cannot be had."""
    if settings.backbone != backbones.AUTO:
        backbones.check(settings.backbone, settings.backbone_weights)
        return None
    candidates.check_one_worker(workers)
    backbones.check(backbones.DEFAULT, settings.backbone_weights)
    return candidates.candidates(dataset, **command_line.given_training())


def check_before(place, dataset, noise, files, settings):
    """Raises InputError for input that would fail later in the run; returns a hash of the input."""
    from trainer.data import inputs

    seen = inputs.check(dataset, files, noise, [settings])
    if not storage.is_remote(place):
        read = {name: getattr(files, name) for name in inputs.READ}
        outputs.check_apart("--checkpoint_path", place, read)
    return seen


def take_directory(root, dataset, files, settings, worker):
    """Makes `root` the directory of this run; InputError if it belongs to another run."""
    run = {"dataset": dataset} | dataclasses.asdict(files) | dataclasses.asdict(settings)
    run = with_absolute_paths(run)
    check_same_run(root, run)
    if worker:
        return
    outputs.hold(root, "--checkpoint_path")
    check_same_run(root, run)
    artifacts.write_json(root / "run.json", run)


@contextlib.contextmanager
def free_if_refused(root):
    """A `with` block; input that it refuses before it writes anything leaves `root` to any run."""
    try:
        yield
    except InputError:
        if {file.name for file in root.iterdir()} == {"run.json", outputs.LOCK}:
            (root / "run.json").unlink()
        raise


def check_same_run(root, settings):
    """Raises InputError if `root` holds a run with other settings than these."""
    free = OF_MODE.get(MODE.value, ())
    outputs.check_same_run("--checkpoint_path", root, "run.json", settings, free)


def with_absolute_paths(settings):
    """The settings of a run with absolute paths, which do not depend on the working directory."""
    fields = (*dataclasses.fields(DataSettings), *configuration.fields().values())
    local = {
        field.name
        for field in fields
        if field.metadata["path"] and not storage.is_remote(settings.get(field.name, ""))
    }
    return {k: os.path.abspath(v) if k in local and v else v for k, v in settings.items()}


if __name__ == "__main__":
    command_line.run(main, __doc__, GROUPS, expand)
