import dataclasses

import pytest

from trainer import config
from trainer.errors import InputError


def test_settings_are_defaults_then_recipe_then_overrides():
    settings = config.resolve("digits", batch_size=50)
    assert (settings.ce_factor, settings.network_name, settings.batch_size) == (5, "convnet", 50)


def test_recipes_obey_the_rules():
    for recipe in config.RECIPES.values():
        config.resolve("digits", **recipe)
    defaults = {f.name: f.default for f in dataclasses.fields(config.TrainConfig)}
    config.resolve("digits", **defaults)


def test_whole_floats_are_integers():
    """Pipelines pass settings as JSON, which may turn 100 into 100.0."""
    assert config.resolve("digits", max_iteration=100.0).max_iteration == 100
    assert isinstance(config.resolve("digits", max_iteration=100.0).max_iteration, int)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"method": "iegg"},
            "--method: must be one of supervised, robust, l2r, fsr, ieg.",
        ),
        (
            {"network_name": "vgg"},
            "--network_name: must be one of convnet, resnet29, wrn28-10, resnet50.",
        ),
        ({"max_iteration": 0}, "--max_iteration: must be 1 or more. Received: 0"),
        ({"max_iteration": 1.5}, "--max_iteration: must be of type int. Received: 1.5"),
        ({"learning_rate": float("nan")}, "--learning_rate: must be of type float. Received: nan"),
        ({"learning_rate": float("inf")}, "--learning_rate: must be 0 or more. Received: inf"),
        ({"learning_rate": "fast"}, "--learning_rate: must be of type float. Received: 'fast'"),
        ({"momentum": 1.5}, "--momentum: must be 1 or less. Received: 1.5"),
        ({"decay_steps": "100,x"}, "--decay_steps: must be numbers above 0 with commas"),
        ({"decay_steps": "0"}, "--decay_steps: must be numbers above 0 with commas"),
        ({"use_pseudo_loss": "some_1_1_1"}, "--use_pseudo_loss: must be all_<temperature>_<share"),
        ({"horizontal_flip": "maybe"}, "--horizontal_flip: must be of type bool."),
        ({"seed": -1}, "--seed: must be 0 or more. Received: -1"),
        ({"seed": 2**31}, "--seed: must be 2147483647 or less"),
        ({"max_iterations": 5}, "--setting: must be one of method, network_name, "),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(InputError) as error:
        config.resolve("digits", **settings)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("dataset", "setting", "scope"),
    [
        ("digits", {"trusted": "checked"}, "image_folder and csv"),
        ("digits", {"bad_images": "skip"}, "image_folder and csv"),
        ("image_folder", {"label_column": "kind"}, "csv"),
        ("image_folder", {"annotator_column": "who"}, "csv"),
    ],
)
def test_settings_of_another_dataset(dataset, setting, scope):
    files = config.resolve_data(dataset, data="" if dataset == "digits" else "photos", **setting)
    message = f"--{next(iter(setting))}: is for {scope}; --dataset is {dataset}"
    with pytest.raises(InputError, match=message):
        config.check_data(dataset, "none", 0, files)


def test_a_table_has_a_column_of_labels():
    with pytest.raises(InputError, match="--label_column: must name a column"):
        config.resolve_data("csv", data="t.csv", label_column="")


def test_dataset_names():
    assert config.parse_dataset("digits_uniform_0.9") == ("digits", "uniform", 0.9)
    assert config.parse_dataset("own_set_asymmetric_0") == ("own_set", "asymmetric", 0.0)
    assert config.parse_dataset("tfds:mnist_pair_0.4") == ("tfds:mnist", "pair", 0.4)
    assert config.parse_dataset("tfds:cats_vs_dogs") == ("tfds:cats_vs_dogs", "none", 0)
    assert config.parse_dataset("image_folder") == ("image_folder", "none", 0.0)
    for name in ("mnist", "digits_uniform", "digits_uniform_x", ""):
        with pytest.raises(InputError, match="--dataset: must be <dataset>_<noise>_<ratio>"):
            config.parse_dataset(name)


def test_a_dataset_and_its_noise_in_one_piece_or_in_three():
    whole = ("digits_uniform_0.9", "digits", "uniform", 0.9)
    assert config.noisy_dataset("digits_uniform_0.9") == whole
    assert config.noisy_dataset("digits", "uniform", 0.9) == whole
    assert config.noisy_dataset("digits", "uniform") == whole
    assert config.noisy_dataset("digits_uniform_0.9", "uniform", 0.9) == whole
    assert config.noisy_dataset("webvisionmini_5") == (
        "webvisionmini_5",
        "webvisionmini",
        "none",
        0,
    )
    for name, noise, ratio, flag in (
        ("digits_uniform_0.9", "pair", None, "--noise: contradicts --dataset=digits_uniform_0.9"),
        ("digits_none_0", "pair", None, "--noise: contradicts --dataset=digits_none_0"),
        ("digits_uniform_0.9", None, 0.4, "--noise_ratio: contradicts --dataset"),
        ("digits", None, 0.4, "--noise_ratio: is for a noise to add"),
        ("cats", None, None, "--dataset: must be one of digits, "),
    ):
        with pytest.raises(InputError, match=flag):
            config.noisy_dataset(name, noise, ratio)


def test_trusted_examples_of_each_class_by_the_name_of_the_dataset():
    names = ("cifar10_uniform_0.4", "cifar100_uniform_0.4", "webvisionmini", "webvisionmini_20")
    assert [config.probe_per_class(name) for name in names] == [100, 10, 10, 20]
    assert config.parse_dataset("webvisionmini_20") == ("webvisionmini", "none", 0)


def test_settings_of_the_data():
    resolved = config.resolve_data("webvisionmini_5", bad_images="skip")
    assert (resolved.data, resolved.probe_per_class) == (config.WEBVISION_RELEASE, 5)
    assert resolved.bad_images == "skip"
    none = config.resolve_data("cifar10_uniform_0.4", probe_dataset_hold_ratio=0.0)
    assert none.probe_per_class == 0
    for given, message in (
        ({"probe_per_class": -1}, "--probe_per_class: must be 0 or more"),
        ({"bad_images": "keep"}, "--bad_images: must be one of fail, skip"),
        ({"datas": "x"}, "--setting: must be one of data, "),
        (
            {"probe_per_class": 3, "probe_dataset_hold_ratio": 0.1},
            "--probe_per_class: says the same as --probe_dataset_hold_ratio",
        ),
    ):
        with pytest.raises(InputError, match=message):
            config.resolve_data("digits", **given)


def test_epochs_become_steps():
    settings = config.TrainConfig(max_epoch=200, decay_epochs="160,180")
    resolved = config.in_steps(settings, 10)
    assert (resolved.max_iteration, resolved.decay_steps) == (2000, "1600,1800")
    assert config.in_steps(config.TrainConfig(), 10) == config.TrainConfig()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (("cats", "uniform", 0.5), "--dataset: must be one of digits"),
        (("digits", "pink", 0.5), "--noise: must be one of none, uniform, asymmetric, pair"),
        (("digits", "uniform", 1.01), "--noise_ratio: must be 1 or less"),
        (("digits", "uniform", float("nan")), "--noise_ratio: must be 0 or more"),
        (
            ("csv", "uniform", 0.5),
            "--data: is where the images are, for image_folder, csv, ",
        ),
    ],
)
def test_wrong_data(data, message):
    config.check_data("digits", "uniform", 0.5)
    with pytest.raises(InputError, match=message):
        config.check_data(*data)
