import dataclasses
import json

import keras
import numpy as np
import pytest

from trainer import config, fit, manifest
from trainer.errors import InputError
from trainer.methods import METHODS
from trainer.networks import NETWORKS

CHOICES = {f.name: f.metadata["choices"] for f in dataclasses.fields(config.TrainConfig)}


def test_every_choice_of_the_settings_exists():
    assert set(METHODS) == set(CHOICES["method"])
    assert set(NETWORKS) == set(CHOICES["network_name"])


def weights(checkpoints_path):
    method, _ = fit.restore(checkpoints_path)
    return [variable.numpy() for variable in method.network.variables + method.optimizer.variables]


def test_outputs(supervised_run):
    run = manifest.read(supervised_run / "checkpoints", "checkpoints")
    assert run["config"]["max_iteration"] == 20
    assert (run["method"], run["noise"], run["noise_ratio"]) == ("supervised", "uniform", 0.9)
    assert set(run["parents"]) == {"prepared_dataset", "noisy_labels", "probe_split"}
    model = manifest.read(supervised_run / "model", "model")
    assert model["class_names"] == list("0123456789")
    method, _ = fit.restore(supervised_run / "checkpoints")
    assert int(method.optimizer.iterations) == 20
    network = keras.models.load_model(supervised_run / "model" / "model.keras")
    for variable, average in zip(network.trainable_variables, method.optimizer.averages):
        np.testing.assert_array_equal(variable, average)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_weights(trained, method):
    first, second, other = (
        weights(trained(method, max_iteration=6, eval_freq=6, seed=seed) / "checkpoints")
        for seed in (1, 1, 2)
    )
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    digits, noisy_labels, probe_split, tmp_path, monkeypatch
):
    settings = config.resolve("digits", max_iteration=25, eval_freq=10)

    def train(name):
        paths = tmp_path / name / "checkpoints", tmp_path / name / "model"
        fit.train(settings, digits, noisy_labels, probe_split, *paths)
        return weights(paths[0])

    whole = train("whole")

    save = fit.Loop.on_epoch_end

    def save_and_fail(self, epoch, logs=None):
        save(self, epoch, logs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fit.Loop, "on_epoch_end", save_and_fail)
        train("interrupted")
    with pytest.raises(InputError, match="half-written"):
        fit.restore(tmp_path / "interrupted" / "checkpoints")
    for a, b in zip(whole, train("interrupted"), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_directory_of_another_run_is_refused(supervised_run, digits, noisy_labels, probe_split):
    settings = config.resolve("digits", method="supervised", max_iteration=21, eval_freq=20)
    paths = supervised_run / "checkpoints", supervised_run / "model"
    before = (paths[0] / "manifest.json").read_bytes()
    with pytest.raises(InputError, match="checkpoint directory: holds a run with other settings"):
        fit.train(settings, digits, noisy_labels, probe_split, *paths)
    assert (paths[0] / "manifest.json").read_bytes() == before


def test_a_finished_run_is_not_trained_again(supervised_run, digits, noisy_labels, probe_split):
    paths = supervised_run / "checkpoints", supervised_run / "model"
    before = (paths[0] / "manifest.json").read_bytes()
    settings = config.TrainConfig(**json.loads(before)["config"])
    fit.train(settings, digits, noisy_labels, probe_split, *paths)
    assert (paths[0] / "manifest.json").read_bytes() == before
