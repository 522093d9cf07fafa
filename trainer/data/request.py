"""The data that a run asks for: the name of a dataset, its noise, and the data settings."""

import dataclasses
import importlib.util
import re
from pathlib import Path
from typing import NamedTuple

from trainer.data import sources
from trainer.errors import InputError
from trainer.settings.data import NOISES, WEBVISION_RELEASE, DataSettings
from trainer.settings.fields import changed, check_choice, check_range

WEBVISION = r"webvisionmini_\d+"  # with the number of trusted images per class
FOR_ALL = ("noise_file", "probe_per_class", "probe_dataset_hold_ratio")
DEFAULT_DATASET, DEFAULT_NOISE_RATIO = "digits_uniform_0.9", 0.9
NOISE_FILES = ("matrix", "human", "asymmetric")


def parse(name):
    """Splits `<dataset>_<noise>_<ratio>`, such as digits_uniform_0.9, or `<dataset>` alone.

    Returns:
      (dataset, noise, ratio); noise is "none" if the name is that of a dataset alone.

    Raises:
      InputError: `name` is not of this form.
    """
    if name in sources.OFFERED:
        return name, "none", 0.0
    if re.fullmatch(WEBVISION, name):
        return "webvisionmini", "none", 0.0
    try:
        dataset, noise, ratio = name.rsplit("_", 2)
        return dataset, noise, float(ratio)
    except ValueError:
        if name.startswith(sources.TFDS):
            return name, "none", 0.0
        rule = "must be <dataset>_<noise>_<ratio>, such as digits_uniform_0.9, or <dataset> alone"
        raise InputError("--dataset", rule, name) from None


class NoisyDataset(NamedTuple):
    """A dataset and the label noise to add.

    Attributes:
      name: Dataset, noise and ratio in one name, such as digits_uniform_0.9.
      dataset: Name of the source, such as digits.
      noise: One of `trainer.settings.data.NOISES`.
      ratio: Probability in [0, 1] with which a label is redrawn or flipped.
    """

    name: str
    dataset: str
    noise: str
    ratio: float


def noisy_dataset(name, noise=None, ratio=None):
    """The dataset and its noise, from one name or from three values.

    Args:
      name: <dataset>_<noise>_<ratio>, or <dataset> alone.
      noise: One of `trainer.settings.data.NOISES`; None if it is not given.
      ratio: In [0, 1]; None if it is not given.

    Raises:
      InputError: `name` is not of this form, or `noise` and `ratio` contradict it.
    """
    if "_" not in name:
        sources.kind(name)
    dataset, named_noise, named_ratio = parse(name)
    if dataset != name and not re.fullmatch(WEBVISION, name):
        for flag, given, named in (
            ("--noise", noise, named_noise),
            ("--noise_ratio", ratio, named_ratio),
        ):
            if given not in (None, named):
                raise InputError(flag, f"contradicts --dataset={name}; give one of them", given)
        name = f"{dataset}_{named_noise}_{named_ratio:g}"
        return NoisyDataset(name, dataset, named_noise, named_ratio)
    noise = noise or "none"
    if noise == "none":
        if ratio:
            rule = "needs a noise to add; name it by --noise"
            raise InputError("--noise_ratio", rule, ratio)
        return NoisyDataset(name, dataset, "none", 0.0)
    ratio = DEFAULT_NOISE_RATIO if ratio is None else ratio
    return NoisyDataset(f"{name}_{noise}_{ratio:g}", dataset, noise, ratio)


def probe_per_class(name):
    """Default number of trusted images per class, by the name of the dataset.

    CIFAR-10 has the 1,000 trusted images of the IEG release, webvisionmini_<n> n of each class.
    """
    if re.match(WEBVISION, name):
        return int(name.split("_")[1])
    return 100 if re.match(r"cifar10(_|$)", name) else DataSettings.probe_per_class


def resolve(name, **given):
    """`DataSettings` of a dataset: the given values, else those of the IEG release.

    Args:
      name: Of the dataset, such as webvisionmini_5.
      **given: Values by the name of the field.

    Raises:
      InputError: An unknown setting, or a value that its rule forbids.
    """
    if {"probe_per_class", "probe_dataset_hold_ratio"} <= set(given):
        rule = "sets the same as --probe_dataset_hold_ratio; give one of them"
        raise InputError("--probe_per_class", rule, given["probe_per_class"])
    data = ""
    if name.startswith("webvisionmini"):
        data = "ieg/data" if Path("ieg/data").is_dir() else WEBVISION_RELEASE
    size = probe_per_class(name)
    if given.get("probe_dataset_hold_ratio") == 0:
        size = 0  # no probe at all, as in the commands of FSR
    return changed(DataSettings(data=data, probe_per_class=size), given)


def check(dataset, noise, noise_ratio, settings):
    """Raises InputError if the settings alone show that the data cannot be made."""
    kind = sources.kind(dataset)
    check_choice("noise", noise, NOISES)
    check_range("noise_ratio", noise_ratio, 0, 1)
    if kind.needs_data and not settings.data:
        needing = ", ".join(name for name, k in sources.OFFERED.items() if k.needs_data)
        rule = f"must name the images, for {needing}"
        raise InputError("--data", rule, settings.data)
    check_scope(dataset, kind, noise, settings)
    if settings.beam_runner and not importlib.util.find_spec("apache_beam"):
        rule = "needs Apache Beam; pip install apache-beam"
        raise InputError("--beam_runner", rule, "none installed")
    if noise in ("matrix", "human") and not settings.noise_file:
        raise InputError("--noise_file", f"must name the file of noise {noise}", "")
    if settings.noise_file and noise not in NOISE_FILES:
        raise InputError("--noise_file", "is for noise matrix, human or asymmetric", noise)


def check_scope(dataset, kind, noise, settings):
    """Raises InputError for a setting that this dataset and noise do not use."""
    counting = {*FOR_ALL, *kind.settings} | ({"label_column"} if noise == "human" else set())
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value != field.default and field.name not in counting:
            scope = [name for name, k in sources.OFFERED.items() if field.name in k.settings]
            if field.name in sources.PUBLISHED.settings:
                scope.append(f"{sources.TFDS}<name>")
            rule = f"is for {', '.join(scope)}; --dataset is {dataset}"
            raise InputError(f"--{field.name}", rule, value)
