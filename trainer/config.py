"""What a training run is told: its settings, the recipe of each dataset, and their rules.

Published experiments are in `trainer.experiments`.
"""

import dataclasses
import importlib.util
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from trainer.errors import InputError

DATASETS = ("digits", "cifar10", "cifar100", "image_folder", "csv", "webvisionmini")
TABLES = ("image_folder", "csv")
# Settings of `DataConfig` that mean something for these only.
FOR_DATASETS = {
    **dict.fromkeys(("trusted", "test", "label_case", "bad_images"), TABLES),
    **dict.fromkeys(("label_column", "clean_label_column", "annotator_column"), ("csv",)),
}
FILES = (*TABLES, "webvisionmini")  # need --data
BATCHES = ("cifar10", "cifar100")  # may have it
TFDS = "tfds:"  # before the name of any set of TensorFlow Datasets
WEBVISION = r"webvisionmini_\d+"
WEBVISION_RELEASE = "gs://gresearch/ieg/webvisionmini2.zip"
NOISES = ("none", "uniform", "asymmetric", "pair", "instance", "matrix", "human")
SMALLEST = 8  # side of an image, in pixels
METHODS = ("supervised", "robust", "l2r", "fsr", "ieg")
NEED_TRUSTED = ("l2r", "ieg")
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
    batch_size: int = setting(
        100, "training examples per step and replica, or all if they are fewer", low=1
    )
    val_batch_size: int = setting(100, "test examples per step", low=1)
    max_epoch: int = setting(0, "epochs to train instead of max_iteration steps", low=0)
    eval_freq: int = setting(500, "steps between tests, with a checkpoint each", low=1)
    checkpoint_minutes: float = setting(
        5.0, "minutes after which a checkpoint is saved between two tests; 0: at tests only", low=0
    )
    learning_rate: float = setting(0.1, "first or highest learning rate", low=0)
    lr_schedule: str = setting(
        "cosine",
        "cosine (with restarts), cosine_warmup (the same), cosine_one (a single one), custom_step,"
        " exponential",
        choices=("cosine", "cosine_warmup", "cosine_one", "custom_step", "exponential"),
    )
    decay_steps: str = setting(
        "500",
        "cosine: steps of the first cycle; custom_step: comma list of drops; exponential: period",
    )
    decay_epochs: str = setting("1", "with max_epoch: decay_steps in epochs")
    decay_rate: float = setting(0.1, "custom_step: factor of each drop", low=0)
    cos_t_mul: float = setting(1.5, "cosine: growth of a cycle's length", low=1)
    cos_m_mul: float = setting(0.9, "cosine: factor on a cycle's peak", low=0)
    warmup_epochs: int = setting(0, "epochs over which the learning rate rises from 0", low=0)
    optimizer: str = setting(
        "momentum",
        "momentum: SGD; muon: it changes all directions of a convolution's kernel by as much",
        choices=("momentum", "muon"),
    )
    momentum: float = setting(0.9, "momentum of SGD", low=0, high=1)
    ema_decay: float = setting(
        0.999, "largest share of the old in the average of the weights", low=0, high=1
    )
    meta_momentum: float = setting(0.9, "fsr, ieg: momentum in the lookahead", low=0, high=1)
    meta_stepsize: float = setting(0.1, "l2r, fsr, ieg: step size of the lookahead", low=0)
    meta_gradient: str = setting(
        "exact",
        "l2r, ieg: let all variables or only the last layer take part in the lookahead",
        choices=("exact", "last_layer"),
    )
    stop_guess: bool = setting(
        False, "ieg: take guessed labels for constants in the lookahead, which is faster"
    )
    jit_compile: bool = setting(False, "compile the step with XLA")
    mixed_precision: str = setting(
        "float32",
        "what the network is trained in; the meta step and tests stay in float32",
        choices=("float32", "bfloat16", "float16"),
    )
    correct_noise: bool = setting(
        True, "robust: find the noise and allow for it; else labels are believed"
    )
    trusted_share: float = setting(
        0.2, "robust: trusted images in a step, for each of the batch", low=0, high=1
    )
    turn_factor: float = setting(
        1.0,
        "robust: weight of turned images, whose class and turn are told; 0: without them",
        low=0,
    )
    guess_factor: float = setting(
        1.0,
        "robust: weight at the end of guesses, by weak views, of what strong ones show; 0: none",
        low=0,
    )
    balance_factor: float = setting(
        1.0,
        "robust: weight of how far predicted class sizes are from what labels tell; 0: none",
        low=0,
    )
    ce_factor: float = setting(5.0, "ieg: weight of the MixUp loss on guessed labels", low=0)
    consistency_factor: float = setting(20.0, "ieg: weight of the consistency loss", low=0)
    grad_eps_init: float = setting(
        0.9, "ieg: share of the given label to start from", low=0, high=1
    )
    aug_type: str = setting(
        "autoaug",
        "ieg, robust: the strong view; default is another weak one",
        choices=("autoaug", "randaug", "affine", "default"),
    )
    strong_share: float = setting(
        0.5, "robust: share of a batch whose strong view it sees", low=0, high=1
    )
    use_mixup: bool = setting(True, "fsr: blend the images of a batch")
    label_smoothing: float = setting(
        0.0, "fsr: share of a label spread over all classes; of blended ones none", low=0, high=1
    )
    queue_capacity: int = setting(2000, "fsr: examples taken for clean, of all classes", low=1)
    queue_bs: int = setting(200, "fsr: how many of them a step looks at", low=1)
    queue_beta: float = setting(0.9, "fsr: share of the old score in the new one", low=0)
    meta_start_epoch: int = setting(20, "fsr: epochs before weights and pseudo loss", low=0)
    clip_meta_weight: bool = setting(True, "fsr: no weight below 0; else they are shifted")
    use_pseudo_loss: str = setting(
        "all_1_0.1_2",
        "fsr: all_<temperature>_<share of the old>_<weight> of the loss on its own guesses, or"
        " nothing",
    )
    image_size: int = setting(
        0,
        "side of the crops that the network sees of larger images, or of those that differ in size;"
        " 0: images of up to 64 pixels whole, and crops of 224",
        low=0,
        high=4096,
    )
    image_cache_gb: float = setting(
        8.0,
        "images that are seen whole are kept in memory, decoded, up to this size of each split;"
        " above it they are decoded anew for each batch",
        low=0,
    )
    audit_folds: int = setting(
        0,
        "audit: predict each label by a run without it, in as many runs; 0: by the run itself, of a"
        " small set by all other images",
        low=0,
    )
    calibration_per_class: int = setting(
        0,
        "trusted examples of each class kept from training, to calibrate probabilities with",
        low=0,
    )
    audit_fold: int = setting(-1, "train: leave out this one of --audit_folds", low=-1)
    crop_padding: int = setting(2, "weak augmentation: pixels of padding before the crop", low=0)
    horizontal_flip: bool = setting(True, "weak augmentation: mirror half of the images")

    @property
    def pseudo_loss(self):
        """Temperature, share of the old logits, and weight, from `use_pseudo_loss`."""
        return tuple(float(number) for number in self.use_pseudo_loss.split("_")[1:])


@dataclass(frozen=True)
class DataConfig:
    """What the name of a dataset does not say: where images are, noise from a file, the probe."""

    data: str = setting(
        "",
        "image_folder: directory of <class>/<file>, or of train/ and test/ with these;"
        " csv: CSV file or JSON with columns path and label, optional split and trusted;"
        " webvisionmini: directory with tensorflow_datasets in it or its zip archive, ieg/data or"
        f" {WEBVISION_RELEASE} unless given; all of these also as gs://<bucket>/<name>;"
        " cifar10, cifar100: directory of the published files, extracted, binary or Python version",
    )
    trusted: str = setting(
        "", "image_folder, csv: directory of <class>/<file> whose labels are right: the probe"
    )
    test: str = setting(
        "", "image_folder, csv: directory of <class>/<file> to test on, else a fifth is held out"
    )
    label_column: str = setting(
        "label", "csv: column of the given label; noise human: its name, such as worse_label"
    )
    clean_label_column: str = setting("", "csv: column of the true label, for probe and diagnosis")
    label_case: str = setting(
        "fail",
        "image_folder, csv: class names that differ in case, in how words are joined or in how a"
        " number is written: fail, join them to one class, or keep them apart",
        choices=("fail", "join", "keep"),
    )
    annotator_column: str = setting(
        "", "csv: column of who gave the label; the labels of an image are joined by CROWDLAB"
    )
    bad_images: str = setting(
        "fail",
        "image_folder, csv: what to do with files that are no fit images",
        choices=("fail", "skip"),
    )
    imagenet_val: str = setting(
        "", "for --use_imagenet_as_eval: ILSVRC2012_img_val.tar, else imagenet2012 in --data"
    )
    tfds_data_dir: str = setting("", "where TensorFlow Datasets keeps prepared datasets")
    beam_runner: str = setting(
        "",
        "image_folder, csv: check and write the images by Apache Beam, such as DirectRunner,"
        " DataflowRunner, FlinkRunner, SparkRunner; tfds: prepare the set by it",
    )
    beam_options: str = setting("", "options of Beam, name=value with commas between them")
    noise_file: str = setting(
        "",
        "noise matrix: CSV transition matrix, with class names or in class order; asymmetric: JSON"
        " map of class names, if other than the known one; human: label file of CIFAR-10N or"
        " CIFAR-100N, .pt or .npy",
    )
    probe_per_class: int = setting(
        10, "trusted examples of each class; of cifar10 100, of webvisionmini_<n> n", low=0
    )
    probe_dataset_hold_ratio: float = setting(
        0.0, "the same as a share of the training examples, where above 0", low=0, high=1
    )


# Own images, in minutes on a laptop: what did best in docs/results/robust.md.
OWN = {
    "method": "robust",
    "network_name": "convnet",
    "max_iteration": 1200,
    "learning_rate": 0.05,
    "lr_schedule": "cosine_one",
    "warmup_epochs": 1,
    "meta_start_epoch": 3,
    "eval_freq": 100,
    "image_size": 64,
}
# What differs from the defaults above, by dataset and by method; the method's comes last.
RECIPES = {
    "image_folder": OWN,
    "csv": OWN,
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
        "turn_factor": 0.0,
        "strong_share": 1.0,
        "queue_capacity": 500,
        "queue_bs": 100,
        "meta_start_epoch": 5,
    },
    # Large batches outvote wrong labels, and allow for large steps.
    "robust": {
        "batch_size": 300,
        "learning_rate": 0.3,
        "lr_schedule": "cosine_one",
        "warmup_epochs": 3,
        "ema_decay": 0.95,
        "optimizer": "muon",
    },
}


def probe_per_class(name):
    """Trusted examples of each class unless told, by the name of the dataset.

    Of CIFAR they are the 1,000 of the release, of webvisionmini_<n> n of each class.
    """
    if re.fullmatch(WEBVISION, name):
        return int(name.partition("_")[2])
    return 100 if re.match(r"cifar10(_|$)", name) else 10


def resolve(dataset, **overrides):
    """The settings for a dataset: defaults, its recipe, that of the method, then `overrides`.

    Args:
      dataset: Name of the source, such as `digits`.
      **overrides: Values by the name of the `TrainConfig` field. Whole floats are taken for
        integers, since JSON does not keep them apart.

    Raises:
      InputError: An unknown dataset or setting, or a value that its rule forbids.
    """
    check_dataset(dataset)
    recipe = RECIPES.get(dataset, {})
    method = overrides.get("method", recipe.get("method"))
    config = changed(TrainConfig(**recipe | RECIPES.get(method, {})), overrides)
    if config.audit_fold >= 0 and config.audit_fold >= config.audit_folds:
        rule = f"must be below --audit_folds, which is {config.audit_folds}"
        raise InputError("--audit_fold", rule, config.audit_fold)
    return config


def resolve_data(name, **given):
    """`DataConfig` of a dataset: as given, else as the IEG release has it.

    Args:
      name: Of the dataset, such as webvisionmini_5.
      **given: Values by the name of the field.

    Raises:
      InputError: An unknown setting, or a value that its rule forbids.
    """
    if {"probe_per_class", "probe_dataset_hold_ratio"} <= set(given):
        rule = "says the same as --probe_dataset_hold_ratio; give one of them"
        raise InputError("--probe_per_class", rule, given["probe_per_class"])
    data = ""
    if name.startswith("webvisionmini"):
        data = "ieg/data" if Path("ieg/data").is_dir() else WEBVISION_RELEASE
    size = probe_per_class(name)
    if given.get("probe_dataset_hold_ratio") == 0:
        size = 0  # no probe at all, as the commands of FSR have it
    return changed(DataConfig(data=data, probe_per_class=size), given)


def changed(config, values):
    """`config` with other values of some fields, after a look at their rules."""
    fields = {f.name: f for f in dataclasses.fields(config)}
    for name in values:
        check_choice("setting", name, tuple(fields))
    return dataclasses.replace(
        config, **{name: checked(fields[name], value) for name, value in values.items()}
    )


def in_steps(config, epoch_steps):
    """`config` with `max_epoch` and `decay_epochs` as steps, if it counts in epochs."""
    if not config.max_epoch:
        return config
    decay = ",".join(str(int(epochs) * epoch_steps) for epochs in config.decay_epochs.split(","))
    return dataclasses.replace(
        config, max_iteration=config.max_epoch * epoch_steps, decay_steps=decay
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
    if field.name == "audit_folds" and number == 1:
        rule = "must be 0, or 2 or more: a fold is predicted by the run of the others"
        raise InputError(argument, rule, value)
    if field.name == "label_column" and not value:
        raise InputError(argument, "must name a column", value)
    if field.name == "image_size" and 0 < number < SMALLEST:
        raise InputError(argument, f"must be 0, or {SMALLEST} or more pixels", value)
    if field.name in ("decay_steps", "decay_epochs") and not all(
        s.strip().isdigit() and int(s) > 0 for s in value.split(",")
    ):
        raise InputError(argument, "must be numbers above 0 with commas between them", value)
    if field.name == "use_pseudo_loss" and not re.fullmatch(r"|all(_\d*\.?\d+){3}", value):
        rule = "must be all_<temperature>_<share of the old>_<weight>, such as all_1_0.1_2, or ''"
        raise InputError(argument, rule, value)
    return number


def check_dataset(name):
    if not name.startswith(TFDS):
        check_choice("dataset", name, (*DATASETS, f"{TFDS}<name>"))


def check_choice(name, value, choices):
    if value not in choices:
        raise InputError(f"--{name}", f"must be one of {', '.join(choices)}", value)


def check_range(name, value, low=None, high=None):
    # "not (a <= b)" so that NaN fails
    if low is not None and not low <= value < math.inf:
        raise InputError(f"--{name}", f"must be {low} or more", value)
    if high is not None and not value <= high:
        raise InputError(f"--{name}", f"must be {high} or less", value)


def check_data(dataset, noise, noise_ratio, settings=DataConfig()):
    """Raises InputError unless such data can be made, as far as can be said without making it."""
    check_dataset(dataset)
    check_choice("noise", noise, NOISES)
    check_range("noise_ratio", noise_ratio, 0, 1)
    if bool(settings.data) != (dataset in FILES) and dataset not in BATCHES:
        rule = f"is where the images are, for {', '.join(FILES + BATCHES)}; --dataset is {dataset}"
        raise InputError("--data", rule, settings.data)
    for name, scope in FOR_DATASETS.items():
        value, of_labels = getattr(settings, name), (name, noise) == ("label_column", "human")
        if value != getattr(DataConfig, name) and dataset not in scope and not of_labels:
            rule = f"is for {' and '.join(scope)}; --dataset is {dataset}"
            raise InputError(f"--{name}", rule, value)
    if settings.beam_runner:
        check_beam(dataset)
    if noise in ("matrix", "human") and not settings.noise_file:
        raise InputError("--noise_file", f"must name the file of noise {noise}", "")
    if settings.noise_file and noise not in ("matrix", "human", "asymmetric"):
        raise InputError("--noise_file", "is for noise matrix, human or asymmetric", noise)


def check_trusted(method, settings):
    """Raises InputError for a method that needs trusted images where none are asked for."""
    asked = settings.probe_per_class or settings.probe_dataset_hold_ratio
    if method in NEED_TRUSTED and not asked:
        others = ", ".join(name for name in METHODS if name not in NEED_TRUSTED)
        rule = f"must be 1 or more for {method}; {others} need no trusted images"
        raise InputError("--probe_per_class", rule, settings.probe_per_class)


def check_beam(dataset):
    if dataset not in (*TABLES, *BATCHES) and not dataset.startswith(TFDS):
        rule = f"is for {', '.join(TABLES)} and sets of TensorFlow Datasets; --dataset is {dataset}"
        raise InputError("--beam_runner", rule, dataset)
    if not importlib.util.find_spec("apache_beam"):
        rule = "needs Apache Beam; pip install apache-beam"
        raise InputError("--beam_runner", rule, "none installed")


def parse_dataset(name):
    """Splits `<dataset>_<noise>_<ratio>`, such as digits_uniform_0.9, or `<dataset>` alone.

    Returns:
      (dataset, noise, ratio); noise "none" where there is only a dataset.

    Raises:
      InputError: `name` is not of this form.
    """
    if name in DATASETS:
        return name, "none", 0.0
    if re.fullmatch(WEBVISION, name):
        return "webvisionmini", "none", 0.0
    try:
        dataset, noise, ratio = name.rsplit("_", 2)
        return dataset, noise, float(ratio)
    except ValueError:
        if name.startswith(TFDS):
            return name, "none", 0.0
        raise InputError(
            "--dataset",
            "must be <dataset>_<noise>_<ratio>, such as digits_uniform_0.9, or <dataset> alone",
            name,
        ) from None
