import dataclasses

import pytest

from trainer.errors import InputError
from trainer.methods import METHODS
from trainer.settings.recipes import RECIPES
from trainer.settings.training import TrainSettings
from trainer.training import configuration


def test_settings_are_defaults_then_recipe_then_overrides():
    settings = configuration.resolve("digits", batch_size=50)
    assert (settings.ce_factor, settings.network_name, settings.batch_size) == (5, "convnet", 50)


@pytest.mark.parametrize("method", METHODS)
def test_defaults_and_recipes_obey_the_rules(method):
    defaults = {f.name: f.default for f in dataclasses.fields(METHODS[method].Settings)}
    configuration.resolve("digits", **defaults | {"method": method})
    for recipe in (*RECIPES.values(), METHODS[method].recipe):
        own = configuration.those_of(method, recipe) | {"method": method, "backbone": "none"}
        configuration.resolve("digits", **own)


def test_each_entry_of_a_recipe_counts_for_some_method():
    for dataset, recipe in RECIPES.items():
        given = ({}, {"backbone": "none"})
        resolved = [
            configuration.resolve(dataset, method=method, **each)
            for method in METHODS
            for each in given
        ]
        for name, value in recipe.items():
            assert value in [getattr(config, name, None) for config in resolved], (dataset, name)


@pytest.mark.parametrize("dataset", ["image_folder", "csv"])
def test_own_images_are_embedded_unless_a_network_is_asked_for(dataset):
    config = configuration.resolve(dataset)
    assert (config.backbone, config.network_name) == ("efficientnet_lite0", "head")
    config = configuration.resolve(dataset, backbone="none", image_size=32)
    assert (config.backbone, config.network_name, config.image_size) == ("none", "convnet", 32)
    with pytest.raises(InputError, match=r"--image_size: .*; --backbone=none trains a network"):
        configuration.resolve(dataset, image_size=32)
    for other in ("digits", "cifar10", "webvisionmini"):
        assert configuration.resolve(other).backbone == "none"


def test_a_setting_of_another_method_is_refused():
    message = "--ce_factor: is for ieg; --method is robust. Received: 4"
    with pytest.raises(InputError, match=message):
        configuration.resolve("digits", method="robust", ce_factor=4)
    assert "ce_factor" not in dataclasses.asdict(configuration.resolve("digits", method="robust"))
    assert configuration.resolve("digits", method="ieg", ce_factor=4).ce_factor == 4


def test_runs_of_several_methods_take_their_own_part_of_the_settings():
    settings = {"ce_factor": 4, "batch_size": 50}
    assert configuration.those_of("supervised", settings) == {"batch_size": 50}
    configuration.check_scope(settings, ["supervised", "ieg"])
    with pytest.raises(InputError, match="--ce_factor: is for ieg; --methods are supervised, l2r"):
        configuration.check_scope(settings, ["supervised", "l2r"])


def test_settings_are_restored_from_a_manifest():
    config = configuration.resolve("image_folder", seed=3)
    assert configuration.restored(dataclasses.asdict(config)) == config


def test_whole_floats_are_integers():
    """Pipelines pass settings as JSON, which may turn 100 into 100.0."""
    assert configuration.resolve("digits", max_iteration=100.0).max_iteration == 100
    assert isinstance(configuration.resolve("digits", max_iteration=100.0).max_iteration, int)


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
        (
            {"method": "fsr", "use_pseudo_loss": "some_1_1_1"},
            "--use_pseudo_loss: must be all_<temperature>_<old",
        ),
        ({"horizontal_flip": "maybe"}, "--horizontal_flip: must be of type bool."),
        ({"seed": -1}, "--seed: must be 0 or more. Received: -1"),
        ({"audit_folds": 1}, "--audit_folds: must be 0, or 2 or more"),
        (
            {"audit_folds": 2, "audit_fold": 2},
            "--audit_fold: must be below --audit_folds, which is 2. Received: 2",
        ),
        ({"audit_fold": 0}, "--audit_fold: must be below --audit_folds, which is 0"),
        ({"seed": 2**31}, "--seed: must be 2147483647 or less"),
        ({"max_iterations": 5}, "--setting: must be one of method, network_name, "),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(InputError) as error:
        configuration.resolve("digits", **settings)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_epochs_become_steps():
    settings = TrainSettings(max_epoch=200, decay_epochs="160,180")
    resolved = configuration.in_steps(settings, 10)
    assert (resolved.max_iteration, resolved.decay_steps) == (2000, "1600,1800")
    assert configuration.in_steps(TrainSettings(), 10) == TrainSettings()
