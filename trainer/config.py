"""What a training run is told: its settings, the recipe of each dataset, and their rules."""

import dataclasses
import math
from dataclasses import dataclass, field

from trainer.errors import InputError

DATASETS = ("digits", "cifar10", "cifar100")
NOISES = ("uniform", "asymmetric")
METHODS = ("supervised", "l2r", "ieg")
NETWORKS = ("convnet", "resnet29", "wrn28-10", "resnet50")


def setting(default, help, choices=None, low=None, high=None):
    """A dataclass field with what `--help` says of it and the values it may have."""
    rule = {"help": help, "choices": choices, "low": low, "high": high}
    return field(default=default, metadata=rule)


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run; the defaults are those of the first IEG release."""

    method: str = setting("ieg", "training method", choices=METHODS)
    network_name: str = setting("wrn28-10", "network", choices=NETWORKS)
    seed: int = setting(
        0, "seed of noise, probe, weights, order and augmentation", low=0, high=2**31 - 1
    )
    max_iteration: int = setting(200_000, "training steps", low=1)
    batch_size: int = setting(100, "training examples per step and replica", low=1)
    val_batch_size: int = setting(100, "test examples per step", low=1)
    eval_freq: int = setting(500, "steps between tests, with a checkpoint each", low=1)
    learning_rate: float = setting(0.1, "first or highest learning rate", low=0)
    lr_schedule: str = setting(
        "cosine",
        "cosine (with restarts), cosine_one (a single one), custom_step, exponential",
        choices=("cosine", "cosine_one", "custom_step", "exponential"),
    )
    decay_steps: str = setting(
        "500",
        "cosine: steps of the first cycle; custom_step: comma list of drops; exponential: period",
    )
    decay_rate: float = setting(0.1, "custom_step: factor of each drop", low=0)
    cos_t_mul: float = setting(1.5, "cosine: growth of a cycle's length", low=1)
    cos_m_mul: float = setting(0.9, "cosine: factor on a cycle's peak", low=0)
    warmup_epochs: int = setting(0, "epochs over which the learning rate rises from 0", low=0)
    momentum: float = setting(0.9, "momentum of SGD", low=0, high=1)
    meta_momentum: float = setting(0.9, "ieg: momentum in the lookahead", low=0, high=1)
    meta_stepsize: float = setting(0.1, "l2r, ieg: step size of the lookahead", low=0)
    meta_gradient: str = setting(
        "exact",
        "l2r: let all variables or only the last layer take part in the lookahead",
        choices=("exact", "last_layer"),
    )
    jit_compile: bool = setting(False, "compile the step with XLA")
    mixed_precision: str = setting(
        "float32",
        "what the network is trained in; the meta step and tests stay in float32",
        choices=("float32", "bfloat16", "float16"),
    )
    ce_factor: float = setting(5.0, "ieg: weight of the MixUp loss on guessed labels", low=0)
    consistency_factor: float = setting(20.0, "ieg: weight of the consistency loss", low=0)
    grad_eps_init: float = setting(
        0.9, "ieg: share of the given label to start from", low=0, high=1
    )
    aug_type: str = setting(
        "autoaug",
        "ieg: the strong view; default is another weak one",
        choices=("autoaug", "randaug", "affine", "default"),
    )
    crop_padding: int = setting(2, "weak augmentation: pixels of padding before the crop", low=0)
    horizontal_flip: bool = setting(True, "weak augmentation: mirror half of the images")


# What differs from the defaults above, by dataset.
RECIPES = {
    # 600 steps of 100 from 10 trusted images per class at 90% uniform noise: `make demo`.
    "digits": {
        "network_name": "convnet",
        "max_iteration": 600,
        "lr_schedule": "cosine_one",
        "consistency_factor": 5.0,
        "eval_freq": 100,
        "aug_type": "affine",
        "crop_padding": 1,
        "horizontal_flip": False,
    },
}


def resolve(dataset, **overrides):
    """The settings for a dataset: defaults, its recipe, then `overrides`.

    Args:
      dataset: Name of the source, such as `digits`.
      **overrides: Values by the name of the `TrainConfig` field. Whole floats are taken for
        integers, since JSON does not keep them apart.

    Raises:
      InputError: An unknown dataset or setting, or a value that its rule forbids.
    """
    check_choice("dataset", dataset, DATASETS)
    config = TrainConfig(**RECIPES.get(dataset, {}))
    fields = {f.name: f for f in dataclasses.fields(config)}
    for name in overrides:
        check_choice("setting", name, tuple(fields))
    return dataclasses.replace(
        config, **{name: checked(fields[name], value) for name, value in overrides.items()}
    )


def checked(field, value):
    """`value` in the type of `field`, if the field's rule allows it."""
    argument, rule = f"--{field.name}", field.metadata
    try:
        number = field.type(value)
    except (TypeError, ValueError):
        number = None
    if number is None or number != value:
        raise InputError(argument, f"must be of type {field.type.__name__}", value)
    if rule["choices"]:
        check_choice(field.name, value, rule["choices"])
    check_range(field.name, number, rule["low"], rule["high"])
    if field.name == "decay_steps" and not all(
        s.strip().isdigit() and int(s) > 0 for s in value.split(",")
    ):
        raise InputError(argument, "must be numbers above 0 with commas between them", value)
    return number


def check_choice(name, value, choices):
    if value not in choices:
        raise InputError(f"--{name}", f"must be one of {', '.join(choices)}", value)


def check_range(name, value, low=None, high=None):
    # "not (a <= b)" so that NaN fails
    if low is not None and not low <= value < math.inf:
        raise InputError(f"--{name}", f"must be {low} or more", value)
    if high is not None and not value <= high:
        raise InputError(f"--{name}", f"must be {high} or less", value)


def check_data(dataset, noise, noise_ratio, probe_per_class):
    """Raises InputError unless such data can be made, as far as can be said without making it."""
    check_choice("dataset", dataset, DATASETS)
    check_choice("noise", noise, NOISES)
    check_range("noise_ratio", noise_ratio, 0, 1)
    check_range("probe_per_class", probe_per_class, 1)


def parse_dataset(name):
    """Splits `<dataset>_<noise>_<ratio>`, such as digits_uniform_0.9.

    Returns:
      (dataset, noise, ratio).

    Raises:
      InputError: `name` is not of this form.
    """
    try:
        dataset, noise, ratio = name.rsplit("_", 2)
        return dataset, noise, float(ratio)
    except ValueError:
        raise InputError(
            "--dataset", "must be <dataset>_<noise>_<ratio>, such as digits_uniform_0.9", name
        ) from None
