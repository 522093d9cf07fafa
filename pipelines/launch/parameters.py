"""Parameters of the pipelines: from flags and a YAML file, checked before anything runs."""

import dataclasses
import difflib
import itertools
import os
from pathlib import Path

import yaml
from absl import flags

from trainer import command_line, config, experiments, storage
from trainer.config import DataConfig, TrainConfig
from trainer.errors import InputError

# Fields of DataConfig that the pipelines have parameters for; others go into dataset_settings.
NAMED = (
    *("data", "trusted", "test", "label_column", "noise_file", "imagenet_val"),
    *("probe_per_class", "probe_dataset_hold_ratio"),
)
WEBVISION = ("data", "imagenet_val", "probe_per_class")
PATHS = (
    *("data", "trusted", "test", "noise_file", "imagenet_val", "tfds_data_dir"),
    "checkpoint_root",
)
TYPES = {
    "STRING": str,
    "NUMBER_INTEGER": int,
    "NUMBER_DOUBLE": float,
    "BOOLEAN": bool,
    "STRUCT": dict,
    "LIST": list,
}
RUN = {"method": str, "noise_ratio": float, "seed": int}  # an item of the parameter runs
TABLE_SUFFIXES = (".csv", ".json", ".jsonl", ".ndjson", ".tsv")
OWN = ("method", "seed", "audit_folds", "audit_fold")  # settings that are no part of `settings`

DATASET = flags.DEFINE_string(
    "dataset",
    "digits",
    f"one of {', '.join(config.DATASETS)}, tfds:<name>; with --data alone image_folder or csv",
)
NOISE = flags.DEFINE_string(
    "noise",
    None,
    f"one of {', '.join(config.NOISES)}; unless given none for {', '.join(config.FILES)}, whose"
    " labels are wrong as they come, else uniform",
)
NOISE_RATIO = flags.DEFINE_float(
    "noise_ratio", None, "probability of a redrawn or flipped label; 0.9 unless given"
)
METHODS = flags.DEFINE_list("methods", None, "sweep: methods with commas between them")
NOISE_RATIOS = flags.DEFINE_list("noise_ratios", None, "sweep: noise ratios, the same way")
SEEDS = flags.DEFINE_list("seeds", None, "sweep: seeds, the same way")
USE_IMAGENET_AS_EVAL = flags.DEFINE_boolean(
    "use_imagenet_as_eval", False, "training: test webvisionmini on the ImageNet set as well"
)
CHECKPOINT_ROOT = flags.DEFINE_string(
    "checkpoint_root", "", "directory or gs:// path where checkpoints outlive the task"
)
PARAMETERS = flags.DEFINE_string(
    "parameters", None, "YAML file of parameters by name; they win over flags"
)
flags.DEFINE_alias("source", "dataset")
flags.adopt_module_key_flags(command_line)


def from_command_line(pipeline):
    """The parameters of the pipeline of this name.

    Raises:
      InputError: A flag or an entry of the file is not one of its parameters, or breaks a rule.
    """
    given = command_line.given(TrainConfig)
    for flag in (METHODS, NOISE_RATIOS, SEEDS):
        if flag.value and pipeline != "sweep":
            rule = f"is for a sweep; one training takes --{flag.name.rstrip('s')}"
            raise InputError(f"--{flag.name}", rule, flag.value)
    if USE_IMAGENET_AS_EVAL.value and pipeline != "training":
        rule = "is for --pipeline=training; webvision always does"
        raise InputError("--use_imagenet_as_eval", rule, pipeline)
    if "audit_folds" in given and pipeline != "training":
        raise InputError("--audit_folds", "is for --pipeline=training", pipeline)
    make = {"training": training, "sweep": sweep, "webvision": webvision}[pipeline]
    return make(given) | {"checkpoint_root": CHECKPOINT_ROOT.value}


def dataset():
    """The name of the dataset; unless given, what --data is decides between folder and table."""
    data = flags.FLAGS["data"]
    if DATASET.present or not data.present:
        return DATASET.value
    if storage.is_remote(data.value):
        return "csv" if data.value.lower().endswith(TABLE_SUFFIXES) else "image_folder"
    if not os.path.exists(data.value):
        rule = "must name a folder with one for each class in it, or a table of images and labels"
        raise InputError("--data", f"{rule} (make run DATA=...)", data.value)
    return "image_folder" if os.path.isdir(data.value) else "csv"


def training(given):
    parameters = data()
    if USE_IMAGENET_AS_EVAL.value and dataset() != "webvisionmini":
        rule = "is for --dataset=webvisionmini"
        raise InputError("--use_imagenet_as_eval", rule, dataset())
    parameters |= {"use_imagenet_as_eval": USE_IMAGENET_AS_EVAL.value}
    if "audit_fold" in given:
        rule = "is for one training; pipelines take --audit_folds, and train them all"
        raise InputError("--audit_fold", rule, given["audit_fold"])
    given = {"method": config.resolve(dataset(), **given).method} | given
    names = ("method", "seed", "audit_folds")
    named = {name: given.pop(name) for name in names if name in given}
    return parameters | {"noise_ratio": noise()[1]} | named | {"settings": given}


def sweep(given):
    parameters = data()
    if parameters.pop("imagenet_val"):
        raise InputError("--imagenet_val", "is for training and webvision", "sweep")
    return parameters | {"runs": sweep_runs(given), "settings": given}


def webvision(given):
    for flag in (DATASET, NOISE, NOISE_RATIO):
        if flag.present:
            rule = "is for training and sweep; webvision has its own"
            raise InputError(f"--{flag.name}", rule, flag.value)
    given = experiments.settings("ieg_webvision") | given
    files = command_line.given(DataConfig)
    for name in files.keys() - set(WEBVISION):
        raise InputError(f"--{name}", "is for training and sweep", files[name])
    found = config.resolve_data("webvisionmini", **files)
    config.resolve("webvisionmini", **given)
    if given.pop("method") != "ieg":
        raise InputError("--method", "is for training and sweep; webvision trains ieg", "another")
    seed = given.pop("seed", 0)
    named = {name: getattr(found, name) for name in WEBVISION}
    return named | {"seed": seed, "settings": given}


def data():
    """The parameters on the data that training and sweep share."""
    given = command_line.given(DataConfig)
    files = config.resolve_data(dataset(), **given)
    kind, ratio = noise()
    config.check_data(dataset(), kind, ratio, files)
    config.resolve(dataset(), **command_line.given(TrainConfig))
    return {
        "dataset": dataset(),
        "noise": kind,
        "dataset_settings": {k: v for k, v in given.items() if k not in NAMED},
        **{name: getattr(files, name) for name in NAMED},
    }


def noise():
    """Kind and ratio of the noise to add."""
    kind = NOISE.value or ("none" if dataset() in config.FILES else "uniform")
    if kind != "none":
        return kind, 0.9 if NOISE_RATIO.value is None else NOISE_RATIO.value
    if NOISE_RATIO.value:
        rule = "is for a noise to add; --noise names it"
        raise InputError("--noise_ratio", rule, NOISE_RATIO.value)
    return kind, 0.0


def sweep_runs(given):
    """Each method at each noise ratio with each seed, the slowest methods first.

    Args:
      given: Settings on the command line; `seed` is taken out.
    """
    if "method" in given:
        rule = "is for one training; a sweep takes --methods"
        raise InputError("--method", rule, given["method"])
    seeds = numbers(SEEDS, int) or [given.pop("seed", 0)]
    ratios = numbers(NOISE_RATIOS, float) or [noise()[1]]
    methods = METHODS.value or ["supervised", "l2r", "ieg"]
    for method, ratio, seed in itertools.product(methods, ratios, seeds):
        config.resolve(dataset(), method=method, seed=seed)
        config.check_range("noise_ratios", ratio, 0, 1)
    methods = sorted(methods, key=config.METHODS.index, reverse=True)
    names = ("method", "noise_ratio", "seed")
    return [dict(zip(names, run)) for run in itertools.product(methods, ratios, seeds)]


def numbers(flag, kind):
    """The items of a list flag as numbers."""
    try:
        return [kind(item) for item in flag.value or ()]
    except ValueError:
        rule = "must be numbers with commas between them"
        raise InputError(f"--{flag.name}", rule, ",".join(flag.value)) from None


def with_file(parameters, spec):
    """The parameters with those of --parameters, after the same rules for all.

    Args:
      parameters: By name.
      spec: The compiled pipeline, as a dictionary.

    Raises:
      InputError: The pipeline has no such parameter, or it breaks a rule.
    """
    if PARAMETERS.value:
        parameters = parameters | read(PARAMETERS.value)
    definitions = spec["root"]["inputDefinitions"]["parameters"]
    for name in parameters:
        config.check_choice("parameter", name, tuple(definitions))
    of_type = {
        name: typed(name, value, TYPES[definitions[name]["parameterType"]])
        for name, value in parameters.items()
    }
    return check(spec["pipelineInfo"]["name"], of_type)


def typed(name, value, kind):
    """A value of this type; whole numbers are taken as int and as float."""
    if {kind, type(value)} == {int, float} and float(value).is_integer():
        return kind(value)
    if type(value) is not kind:
        raise InputError(f"--{name}", f"must be of type {kind.__name__}", value)
    return value


def check(pipeline, parameters):
    """The parameters of a pipeline, if they keep the rules of flags, also those inside of others.

    Args:
      pipeline: Its name.
      parameters: By name, of the right types.

    Raises:
      InputError: One of them breaks a rule.
    """
    source, files, kind = inputs_of(pipeline, parameters)
    config.check_data(source, kind, parameters.get("noise_ratio", 0.0), files)
    settings = named("settings", parameters["settings"], TrainConfig, OWN)
    chosen = {name: parameters[name] for name in OWN if name in parameters}
    method = config.resolve(source, **settings | chosen).method
    if "runs" not in parameters:
        config.check_trusted(method, files)
        return parameters
    if not parameters["runs"]:
        raise InputError("--runs", "must have one run or more", [])
    runs = [checked_run(source, run, settings) for run in parameters["runs"]]
    for run in runs:
        config.check_trusted(run["method"], files)
    return parameters | {"runs": runs}


def inputs_of(pipeline, parameters):
    """What a pipeline reads: the name of the source, its `DataConfig`, and the kind of noise."""
    source = parameters.get("dataset", pipeline.replace("webvision", "webvisionmini"))
    inner = named("dataset_settings", parameters.get("dataset_settings", {}), DataConfig, NAMED)
    outer = {name: parameters[name] for name in NAMED if name in parameters}
    return source, config.changed(DataConfig(), outer | inner), parameters.get("noise", "none")


def named(parameter, values, config_class, others):
    """`values`, if its names are fields of a class, and none of `others`."""
    fields = [field.name for field in dataclasses.fields(config_class)]
    for name in values:
        if name in others:
            rule = "must not have what is a parameter of a pipeline"
            raise InputError(f"--{parameter}", rule, name)
        if name not in fields:
            close = difflib.get_close_matches(str(name), fields, n=1)
            hint = f"the closest is {close[0]}" if close else "--help lists them"
            raise InputError(f"--{parameter}", f"must have names of settings; {hint}", name)
    return values


def checked_run(source, run, settings):
    """An item of the parameter runs, if it keeps the rules."""
    if not isinstance(run, dict) or set(run) != set(RUN):
        raise InputError("--runs", f"must have {', '.join(RUN)} in each run", run)
    run = {name: typed(f"runs: {name}", run[name], kind) for name, kind in RUN.items()}
    config.check_range("noise_ratio", run["noise_ratio"], 0, 1)
    config.resolve(source, **settings, method=run["method"], seed=run["seed"])
    return run


def absolute(parameters):
    """The parameters with absolute paths of what is on this machine, and the set of these."""
    paths = {
        name: os.path.abspath(value)
        for name, value in parameters.items()
        if name in PATHS and value and os.path.exists(value)
    }
    inner = parameters.get("dataset_settings", {})
    if inner:
        inner, inner_paths = absolute(inner)
        return parameters | paths | {"dataset_settings": inner}, {*paths.values(), *inner_paths}
    return parameters | paths, set(paths.values())


def read(file):
    """A mapping from a YAML file."""
    try:
        content = yaml.safe_load(Path(file).read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise InputError("--parameters", f"must be a YAML file ({reason})", file) from None
    if not isinstance(content, dict):
        raise InputError("--parameters", "must hold a mapping of names to values", content)
    return content
