"""Flags that select what a pipeline trains, and the parameters that follow from them."""

import dataclasses
import itertools

from absl import flags

from pipelines.parameters import OF_BACKBONE
from trainer import command_line, dataset_flags
from trainer import methods as training_methods
from trainer.data import request
from trainer.errors import InputError
from trainer.settings.fields import check_range
from trainer.training import configuration

METHODS = flags.DEFINE_list("methods", None, "sweep: methods with commas between them")
NOISE_RATIOS = flags.DEFINE_list(
    "noise_ratios", None, "sweep: noise ratios with commas between them"
)
SEEDS = flags.DEFINE_list("seeds", None, "sweep: seeds with commas between them")
CHECKPOINT_ROOT = flags.DEFINE_string(
    "checkpoint_root", "", "directory or gs:// path where checkpoints outlive the task"
)
PARAMETERS = flags.DEFINE_string(
    "parameters", None, "YAML file of parameters by name; they replace flags"
)
flags.adopt_module_key_flags(dataset_flags)

SWEPT = ("supervised", "l2r", "ieg")  # methods of a sweep unless given


def chosen(pipeline):
    """The values that the command line gives a pipeline, after checking each flag.

    Args:
      pipeline: Its name.

    Returns:
      (values, given): Values by the name of a parameter or setting, including defaults; and names
        of the settings that the command line gives.

    Raises:
      InputError: A flag breaks a rule, or this pipeline does not use it.
    """
    of_data, of_training = command_line.given_data(), command_line.given_training()
    check_scope(pipeline, of_training)
    named = noisy_dataset()
    files = request.resolve(named.name, **of_data)
    request.check(named.dataset, named.noise, named.ratio, files)
    dataset_flags.check_imagenet(named.dataset)
    values = {
        **dataclasses.asdict(files),
        "dataset": named.dataset,
        "noise": named.noise,
        "noise_ratio": named.ratio,
        "use_imagenet_as_eval": dataset_flags.USE_IMAGENET_AS_EVAL.value,
        "checkpoint_root": CHECKPOINT_ROOT.value,
    }
    if pipeline == "sweep":
        values["runs"] = runs(named, seed=of_training.pop("seed", 0))
        values |= {name: of_training[name] for name in OF_BACKBONE if name in of_training}
    else:
        method = configuration.resolve(named.dataset, **of_training).method
        values |= {"method": method} | of_training
    given = of_data | of_training
    if dataset_flags.USE_IMAGENET_AS_EVAL.value:
        given["use_imagenet_as_eval"] = True
    return values, given


def check_scope(pipeline, of_training):
    """Raises InputError for a flag that is for a sweep alone, or for one training alone."""
    for flag in (METHODS, NOISE_RATIOS, SEEDS):
        if flag.value and pipeline != "sweep":
            rule = f"is for a sweep; one training takes --{flag.name.rstrip('s')}"
            raise InputError(f"--{flag.name}", rule, flag.value)
    if "audit_fold" in of_training:
        rule = "is for one training; pipelines take --audit_folds, and train them all"
        raise InputError("--audit_fold", rule, of_training["audit_fold"])
    if pipeline == "sweep" and "method" in of_training:
        rule = "is for one training; a sweep takes --methods"
        raise InputError("--method", rule, of_training["method"])
    if SEEDS.value and "seed" in of_training:
        raise InputError("--seed", "contradicts --seeds; give one of them", of_training["seed"])


def noisy_dataset():
    """The dataset and its noise; the ratio may also come from --noise_ratios of a sweep."""
    named = dataset_flags.noisy_dataset()
    if not NOISE_RATIOS.value:
        return named
    flag, ratios = "--noise_ratios", numbers(NOISE_RATIOS, float)
    if named.noise == "none":
        raise InputError(flag, "needs a noise to add; name it by --noise", NOISE_RATIOS.value)
    in_one_piece = dataset_flags.DATASET.value == named.name
    if (in_one_piece or dataset_flags.NOISE_RATIO.present) and ratios != [named.ratio]:
        rule = f"contradicts the noise ratio {named.ratio:g}; give one of them"
        raise InputError(flag, rule, NOISE_RATIOS.value)
    return named


def runs(named, seed):
    """Each method at each noise ratio with each seed, the slowest methods first.

    Args:
      named: `trainer.data.request.NoisyDataset`; --noise_ratios replaces its ratio.
      seed: Seed; --seeds replaces it.
    """
    methods = METHODS.value or SWEPT
    ratios = numbers(NOISE_RATIOS, float) or [named.ratio]
    seeds = numbers(SEEDS, int) or [seed]
    for method, ratio, each in itertools.product(methods, ratios, seeds):
        configuration.resolve(named.dataset, method=method, seed=each)
        check_range("noise_ratios", ratio, 0, 1)
    slowest_first = sorted(methods, key=list(training_methods.METHODS).index, reverse=True)
    return [
        {"method": method, "noise_ratio": ratio, "seed": each}
        for method, ratio, each in itertools.product(slowest_first, ratios, seeds)
    ]


def numbers(flag, kind):
    """The items of a list flag as numbers."""
    try:
        return [kind(item) for item in flag.value or ()]
    except ValueError:
        rule = "must be numbers with commas between them"
        raise InputError(f"--{flag.name}", rule, ",".join(flag.value)) from None
