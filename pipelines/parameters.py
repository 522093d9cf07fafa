"""Parameters of the pipelines: from flags and a YAML file, checked before anything runs."""

import itertools
import os
from pathlib import Path

import yaml
from absl import flags

from trainer import command_line, config, experiments
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
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": bool,
    "STRUCT": dict,
    "LIST": list,
}

DATASET = flags.DEFINE_string(
    "dataset", "digits", f"one of {', '.join(config.DATASETS)}, tfds:<name>"
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
    make = {"training": training, "sweep": sweep, "webvision": webvision}[pipeline]
    return make(given) | {"checkpoint_root": CHECKPOINT_ROOT.value}


def training(given):
    parameters = data()
    if USE_IMAGENET_AS_EVAL.value and DATASET.value != "webvisionmini":
        rule = "is for --dataset=webvisionmini"
        raise InputError("--use_imagenet_as_eval", rule, DATASET.value)
    parameters |= {"use_imagenet_as_eval": USE_IMAGENET_AS_EVAL.value}
    if "audit_fold" in given:
        rule = "is for one training; pipelines take --audit_folds, and train them all"
        raise InputError("--audit_fold", rule, given["audit_fold"])
    given = {"method": config.resolve(DATASET.value, **given).method} | given
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
    files = config.resolve_data(DATASET.value, **given)
    kind, ratio = noise()
    config.check_data(DATASET.value, kind, ratio, files)
    config.resolve(DATASET.value, **command_line.given(TrainConfig))
    return {
        "dataset": DATASET.value,
        "noise": kind,
        "dataset_settings": {k: v for k, v in given.items() if k not in NAMED},
        **{name: getattr(files, name) for name in NAMED},
    }


def noise():
    """Kind and ratio of the noise to add."""
    kind = NOISE.value or ("none" if DATASET.value in config.FILES else "uniform")
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
        config.resolve(DATASET.value, method=method, seed=seed)
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
    """The parameters with those of --parameters, all checked against a compiled pipeline.

    Args:
      parameters: By name.
      spec: The compiled pipeline, as a dictionary.
    """
    if PARAMETERS.value:
        parameters = parameters | read(PARAMETERS.value)
    definitions = spec["root"]["inputDefinitions"]["parameters"]
    for name, value in parameters.items():
        config.check_choice("parameter", name, tuple(definitions))
        kind = TYPES[definitions[name]["parameterType"]]
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            rule = f"must be of type {definitions[name]['parameterType']}"
            raise InputError(f"--{name}", rule, value)
    return parameters


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
