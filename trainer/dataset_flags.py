"""Flags that name the data, the same on both command lines: a dataset and its label noise."""

import os

from absl import flags

from trainer import command_line, storage
from trainer.data import request, sources
from trainer.errors import InputError
from trainer.settings.data import NOISES
from trainer.settings.experiments import EXPERIMENTS

TABLE_SUFFIXES = (".csv", ".json", ".jsonl", ".ndjson", ".tsv")

DATASET = flags.DEFINE_string(
    "dataset",
    None,
    "name of the dataset, or <dataset>_<noise>_<ratio> to add label noise:"
    f" {', '.join(sources.OFFERED)}, tfds:<name>; {request.DEFAULT_DATASET} unless given, with"
    " --data alone image_folder or csv",
)
NOISE = flags.DEFINE_string("noise", None, f"label noise to add: {', '.join(NOISES)}")
NOISE_RATIO = flags.DEFINE_float(
    "noise_ratio",
    None,
    "probability with which a label is redrawn or flipped, in [0, 1];"
    f" {request.DEFAULT_NOISE_RATIO} unless given",
)
USE_IMAGENET_AS_EVAL = flags.DEFINE_boolean(
    "use_imagenet_as_eval", False, "webvisionmini: test on the ImageNet validation set as well"
)
EXPERIMENT = flags.DEFINE_string(
    "experiment", None, f"the flags of a published experiment: {', '.join(EXPERIMENTS)}"
)
GROUP = {
    "Dataset and noise": [
        *("*dataset", "*noise", "*noise_ratio", "experiment", "use_imagenet_as_eval"),
    ]
}
flags.DEFINE_alias("source", "dataset")
flags.adopt_module_key_flags(command_line)


def given():
    """Whether the command line names a dataset or its noise."""
    return DATASET.present or NOISE.present or NOISE_RATIO.present


def noisy_dataset():
    """The `trainer.data.request.NoisyDataset` of the command line.

    Raises:
      InputError: Flags contradict each other, or --data does not exist.
    """
    noise, ratio = NOISE.value, NOISE_RATIO.value
    if DATASET.value is not None:
        return request.noisy_dataset(DATASET.value, noise, ratio)
    if flags.FLAGS["data"].present:
        return request.noisy_dataset(folder_or_table(flags.FLAGS["data"].value), noise, ratio)
    default, default_noise, _ = request.parse(request.DEFAULT_DATASET)
    return request.noisy_dataset(default, noise or default_noise, ratio)


def folder_or_table(data):
    """The dataset that --data alone selects: image_folder or csv."""
    if storage.is_remote(data):
        return "csv" if data.lower().endswith(TABLE_SUFFIXES) else "image_folder"
    if not os.path.exists(data):
        rule = "must name a folder with one for each class in it, or a table of images and labels"
        raise InputError("--data", f"{rule} (make run DATA=...)", data)
    return "image_folder" if os.path.isdir(data) else "csv"


def check_imagenet(dataset):
    """Raises InputError for a test on ImageNet of a run on other datasets than webvisionmini."""
    if USE_IMAGENET_AS_EVAL.value and dataset != "webvisionmini":
        raise InputError("--use_imagenet_as_eval", "is for --dataset=webvisionmini", dataset)
