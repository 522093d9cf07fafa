"""Compiles and runs the pipelines.

python -m pipelines run --pipeline=training --method=ieg --noise_ratio=0.8 --seed=1
python -m pipelines run --pipeline=sweep --methods=ieg,supervised --max_iteration=300
python -m pipelines compile --pipeline=sweep --output=sweep.yaml
"""

from pathlib import Path

from absl import flags

from trainer import command_line, config
from trainer.config import DataConfig, TrainConfig
from trainer.errors import InputError

COMMANDS = ("run", "compile")
NAMES = ("training", "sweep")
RUNNERS = ("subprocess",)

PIPELINE = flags.DEFINE_string("pipeline", "training", f"one of {', '.join(NAMES)}")
OUTPUT = flags.DEFINE_string("output", None, "compile: the file; <pipeline>.yaml unless given")
OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "run: directory for all outputs; runs/<pipeline> unless given"
)
RUNNER = flags.DEFINE_string("runner", "subprocess", f"run: one of {', '.join(RUNNERS)}")
DATASET = flags.DEFINE_string("dataset", "digits", f"one of {', '.join(config.DATASETS)}")
NOISE = flags.DEFINE_string("noise", "uniform", f"one of {', '.join(config.NOISES)}")
NOISE_RATIO = flags.DEFINE_float("noise_ratio", 0.9, "probability of a redrawn or flipped label")
PROBE_PER_CLASS = flags.DEFINE_integer(
    "probe_per_class",
    None,
    "trusted examples of each class; 10 unless the dataset's recipe differs",
)
METHODS = flags.DEFINE_list("methods", None, "sweep: methods with commas between them")
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
    files = command_line.given(DataConfig)
    probe_per_class = PROBE_PER_CLASS.value
    if probe_per_class is None:
        probe_per_class = config.probe_per_class(DATASET.value)
    config.check_data(
        DATASET.value, NOISE.value, NOISE_RATIO.value, probe_per_class, DataConfig(**files)
    )
    given = command_line.given(TrainConfig)
    config.resolve(DATASET.value, **given)
    parameters = {
        "dataset": DATASET.value,
        "noise": NOISE.value,
        "noise_ratio": NOISE_RATIO.value,
        "probe_per_class": probe_per_class,
        **files,
    }
    if PIPELINE.value == "sweep":
        if "method" in given:
            raise InputError(
                "--method", "is for one training; a sweep takes --methods", given["method"]
            )
        for method in METHODS.value or ():
            config.resolve(DATASET.value, method=method)
        methods = {"methods": METHODS.value} if METHODS.value else {}
    else:
        if METHODS.value:
            raise InputError(
                "--methods", "is for a sweep; one training takes --method", METHODS.value
            )
        methods = {"method": given.pop("method")} if "method" in given else {}
    seed = {"seed": given.pop("seed")} if "seed" in given else {}
    return parameters | methods | seed | {"settings": given}


if __name__ == "__main__":
    command_line.run(main)
