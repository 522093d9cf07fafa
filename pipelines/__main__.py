"""Compiles and runs the pipelines.

python -m pipelines run --pipeline=training --method=ieg --noise_ratio=0.8 --seed=1
python -m pipelines run --pipeline=sweep --methods=ieg,supervised --max_iteration=300
python -m pipelines compile --pipeline=sweep --output=sweep.yaml
"""

import itertools
from pathlib import Path

from absl import flags

from trainer import command_line, config
from trainer.config import DataConfig, TrainConfig
from trainer.errors import InputError

COMMANDS = ("run", "compile")
NAMES = ("training", "sweep")
RUNNERS = ("subprocess",)
# Fields of DataConfig that the pipelines have parameters for; others go into dataset_settings.
DATA_PARAMETERS = (
    *("data", "trusted", "test", "label_column", "noise_file"),
    *("probe_per_class", "probe_dataset_hold_ratio"),
)

PIPELINE = flags.DEFINE_string("pipeline", "training", f"one of {', '.join(NAMES)}")
OUTPUT = flags.DEFINE_string("output", None, "compile: the file; <pipeline>.yaml unless given")
OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "run: directory for all outputs; runs/<pipeline> unless given"
)
RUNNER = flags.DEFINE_string("runner", "subprocess", f"run: one of {', '.join(RUNNERS)}")
DATASET = flags.DEFINE_string(
    "dataset", "digits", f"one of {', '.join(config.DATASETS)}, tfds:<name>"
)
NOISE = flags.DEFINE_string("noise", "uniform", f"one of {', '.join(config.NOISES)}")
NOISE_RATIO = flags.DEFINE_float("noise_ratio", 0.9, "probability of a redrawn or flipped label")
METHODS = flags.DEFINE_list("methods", None, "sweep: methods with commas between them")
NOISE_RATIOS = flags.DEFINE_list("noise_ratios", None, "sweep: noise ratios, the same way")
SEEDS = flags.DEFINE_list("seeds", None, "sweep: seeds, the same way")
flags.adopt_module_key_flags(command_line)


def main(arguments):
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        raise InputError("command", f"must be one of {', '.join(COMMANDS)}", " ".join(arguments))
    config.check_choice("pipeline", PIPELINE.value, NAMES)
    config.check_choice("runner", RUNNER.value, RUNNERS)
    if arguments[0] == "compile":
        path = OUTPUT.value or f"{PIPELINE.value}.yaml"
        from pipelines.compile import compile_pipeline

        compile_pipeline(PIPELINE.value, path)
        print(path)
    else:
        parameters = pipeline_parameters()
        from pipelines.run import run  # kfp takes seconds to import

        run(PIPELINE.value, parameters, Path(OUTPUT_DIR.value or f"runs/{PIPELINE.value}"))


def pipeline_parameters():
    """Parameters of the pipeline from the flags, checked before anything runs."""
    data = command_line.given(DataConfig)
    files = config.resolve_data(DATASET.value, **data)
    if files.imagenet_val:
        rule = "is for python -m trainer; the pipelines test on the dataset only"
        raise InputError("--imagenet_val", rule, files.imagenet_val)
    config.check_data(DATASET.value, NOISE.value, NOISE_RATIO.value, files)
    given = command_line.given(TrainConfig)
    config.resolve(DATASET.value, **given)
    parameters = {
        "dataset": DATASET.value,
        "noise": NOISE.value,
        "dataset_settings": {k: v for k, v in data.items() if k not in DATA_PARAMETERS},
        **{name: getattr(files, name) for name in DATA_PARAMETERS},
    }
    if PIPELINE.value == "sweep":
        return parameters | {"runs": sweep_runs(given), "settings": given}
    for flag in (METHODS, NOISE_RATIOS, SEEDS):
        if flag.value:
            rule = f"is for a sweep; one training takes --{flag.name.rstrip('s')}"
            raise InputError(f"--{flag.name}", rule, flag.value)
    named = {name: given.pop(name) for name in ("method", "seed") if name in given}
    return parameters | {"noise_ratio": NOISE_RATIO.value} | named | {"settings": given}


def sweep_runs(given):
    """Each method at each noise ratio with each seed, the slowest methods first.

    Args:
      given: Settings on the command line; `seed` is taken out.
    """
    if "method" in given:
        rule = "is for one training; a sweep takes --methods"
        raise InputError("--method", rule, given["method"])
    seeds = numbers(SEEDS, int) or [given.pop("seed", 0)]
    ratios = numbers(NOISE_RATIOS, float) or [NOISE_RATIO.value]
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


if __name__ == "__main__":
    command_line.run(main)
