"""Backbone and head trained from images, and what follows a training takes the run as any other."""

import dataclasses
import json
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy.special import softmax

from tests.trainer.backbones.conftest import SIDE
from trainer import artifacts, local_run
from trainer.audit import label_issues
from trainer.audit.linear_models import WITH_RUN
from trainer.audit.run_predictions import calibrated_probabilities
from trainer.backbones import efficientnet_lite0, embed, fetch
from trainer.backbones.seen import resized
from trainer.data import input_pipeline, partly_embedded, probe, records
from trainer.data.noise import injection
from trainer.errors import InputError
from trainer.evaluation import predictions
from trainer.methods import METHODS, cross_fitting
from trainer.networks import fine_tuned
from trainer.settings.data import DataSettings
from trainer.training import configuration, finetuning, fit

FEW = {"max_iteration": 12, "eval_freq": 6, "batch_size": 100}
TUNE = {"finetune": True, "finetune_image_size": SIDE, "finetune_epochs": 1}
TUNE |= {"finetune_batch_size": 400, "val_batch_size": 360}


@pytest.fixture(scope="module")
def embeddings(digits, backbone, own_backbone, tmp_path_factory):
    path = tmp_path_factory.mktemp("digits") / "embeddings"
    embed.embed(digits, backbone, path, configuration.resolve("digits", backbone=str(own_backbone)))
    return path


@pytest.fixture(scope="module")
def head(digits, noisy_labels, probe_split, embeddings, own_backbone, tmp_path_factory):
    """A function that trains a head, once for each method. Returns its checkpoints."""
    made = {}

    def head(method):
        if method not in made:
            config = configuration.resolve(
                "digits", method=method, backbone=str(own_backbone), **FEW
            )
            root = tmp_path_factory.mktemp(method)
            data = digits, noisy_labels, probe_split
            out = root / "checkpoints", root / "model"
            fit.train(config, *data, *out, embeddings_path=embeddings)
            made[method] = root / "checkpoints"
        return made[method]

    return head


@pytest.fixture
def tune(digits, noisy_labels, probe_split, backbone, embeddings, own_backbone, head, tmp_path):
    """A function that fine-tunes. Returns the checkpoints."""

    def tune(method="robust", name="run", callbacks=(), start=None, **settings):
        both = configuration.resolve(
            "digits", method=method, backbone=str(own_backbone), **FEW | TUNE | settings
        )
        root, data = tmp_path / name, (digits, noisy_labels, probe_split)
        fit.train(
            finetuning.of_finetuning(both),
            *data,
            root / "checkpoints",
            root / "model",
            callbacks=callbacks,
            embeddings_path=embeddings,
            backbone_path=backbone,
            head_path=start or head(method),
        )
        return root / "checkpoints"

    return tune


def weights(checkpoints):
    method, _ = fit.restored(checkpoints)
    return [variable.numpy() for part in (method.theta, method.ema) for variable in part]


class AtFirst(keras.callbacks.Callback):
    """Calls a function of the method before its first step."""

    def __init__(self, look):
        super().__init__()
        self.look = look

    def on_train_begin(self, logs=None):
        self.look(self.model)


class CutOff(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_it_starts_from_backbone_and_head(tune, head, digits, backbone, embeddings, probe_split):
    """And from the transition matrix and the weight that the run of the head has estimated."""
    trusted, noisy = map(len, probe.read_split(probe_split, records.read_manifest(digits))[:2])
    images = tf.constant(records.read_images(digits, "test")[:20] / 127.5 - 1, tf.float32)
    earlier, _ = fit.restore(head("robust"), embeddings)
    embedded = fetch.read_network(backbone)(resized(images, SIDE), training=False)
    expected = fit.averaged_network(earlier)(embedded)

    def look(method):
        for training in (False, True):
            z = method.network(images, training=training)
            np.testing.assert_allclose(z, expected, atol=1e-4)
        np.testing.assert_array_equal(method.noise.J, earlier.noise.J)
        assert not np.allclose(method.noise.J, METHODS_J)
        each = trusted / noisy / earlier.config.trusted_fraction
        assert float(method.trusted_weight) == pytest.approx(max(1, each))

    METHODS_J = fit.build_method(earlier.config, fit.restored(head("robust"))[1]).noise.J
    tune(callbacks=[AtFirst(look)])


def test_only_the_variables_with_a_learning_rate_move(tune):
    """Those of the backbone are the first ones, kernel and offset of the head the last."""
    first = []

    def look(method):
        first[:] = [variable.numpy() for variable in method.theta]

    def moved(name, **settings):
        found = weights(tune("supervised", name, [AtFirst(look)], **settings))
        return [not np.array_equal(a, b) for a, b in zip(found, first)]

    assert moved("both") == [True] * 4
    assert moved("head", backbone_learning_rate=0) == [False, False, True, True]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.slow
def test_every_method_is_fine_tuned(method, tune, digits, embeddings):
    checkpoints = tune(method, finetune_epochs=2)
    found, run = fit.restore(checkpoints, embeddings)
    assert (run["image_shape"], run["config"]["max_iteration"]) == ([8, 8, 1], 6)
    assert [row["step"] for row in json.loads((checkpoints / "history.json").read_text())] == [3, 6]
    assert np.isfinite(predictions.predict_logits(digits, found, "test")).all()


def test_it_resumes_exactly(tune):
    whole = weights(tune(finetune_epochs=2))
    with pytest.raises(KeyboardInterrupt):
        tune(name="again", callbacks=[CutOff(5)], finetune_epochs=2)
    for found, expected in zip(weights(tune(name="again", finetune_epochs=2)), whole, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_two_replicas_resume_exactly(tune, head, two_replicas, monkeypatch):
    head("robust")
    monkeypatch.setattr(fit, "replicas", lambda: two_replicas)
    settings = {"finetune_epochs": 2, "finetune_batch_size": 200}
    whole = weights(tune(name="whole", **settings))
    with pytest.raises(KeyboardInterrupt):
        tune(name="again", callbacks=[CutOff(4)], **settings)
    for found, expected in zip(weights(tune(name="again", **settings)), whole, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision(precision, tune):
    assert all(np.isfinite(values).all() for values in weights(tune(mixed_precision=precision)))


def test_statistics_are_frozen_and_nothing_is_dropped():
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3)(images)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dropout(0.5)(x)
    inner = keras.Sequential([keras.Input((6, 6, 4)), keras.layers.GlobalAveragePooling2D()])
    network = keras.Model(images, inner(x))
    network.layers[2].set_weights([np.full(4, value) for value in (2.0, 1.0, 0.5, 3.0)])
    at_10 = keras.Input((10, 10, 3))
    flat = keras.Model(at_10, fine_tuned.applied(network, at_10, "backbone."))
    assert not [layer for layer in flat.layers if isinstance(layer, keras.Model)]
    assert len(flat.trainable_variables) == 4
    before = flat.get_weights()
    x = np.random.default_rng(0).normal(size=(5, 10, 10, 3)).astype(np.float32)
    np.testing.assert_array_equal(flat(x, training=True), flat(x, training=False))
    for found, expected in zip(flat.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)
    middle = x[:, 1:9, 1:9]
    at_8 = keras.Model(images, fine_tuned.applied(network, images, "backbone."))
    np.testing.assert_allclose(at_8(middle), network(middle, training=False), rtol=1e-5)


@pytest.mark.slow
def test_lite0_takes_another_side(rng):
    backbone, images = efficientnet_lite0.load(56).network, keras.Input((28, 28, 3))
    network = keras.Model(images, fine_tuned.at_side(backbone, images, 28))
    assert network.count_params() == backbone.count_params()
    x = rng.uniform(0, 255, (2, 28, 28, 3)).astype(np.float32)
    expected = efficientnet_lite0.load(28).network.predict_on_batch(x)
    np.testing.assert_allclose(network.predict_on_batch(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_of_two_sizes_the_smaller_one_is_trained(digits, noisy_labels, probe_split, tmp_path):
    """From a head on both it starts as it is, and the numbers of the larger one stay."""
    given = {"backbone": "efficientnet_lite0", "backbone_image_size": 40} | FEW | TUNE
    both = configuration.resolve("digits", method="supervised", **given)
    backbone, embeddings, head = (tmp_path / name for name in ("backbone", "embeddings", "head"))
    made = fetch.fetch("efficientnet_lite0", backbone, side=40, tuned_side=SIDE)
    assert (made["smaller_side"], made["kept_size"], made["embedding_size"]) == (SIDE, 1904, 3808)
    embed.embed(digits, backbone, embeddings, both)
    data = digits, noisy_labels, probe_split
    fit.train(finetuning.of_head(both), *data, head, tmp_path / "a", embeddings_path=embeddings)
    config, first = finetuning.of_finetuning(both), []
    start = dict(embeddings_path=embeddings, backbone_path=backbone, head_path=head)

    def logits(method):
        batches = input_pipeline.test_batches(digits, config, 360, embeddings_path=embeddings)
        return [method.network(batch["image"], training=True).numpy() for batch in batches]

    def look(method):
        first.extend([logits(method), method.theta[0].numpy()])

    fit.train(config, *data, tmp_path / "run", tmp_path / "b", callbacks=[AtFirst(look)], **start)
    expected = predictions.predict_logits(digits, fit.restore(head, embeddings)[0], "test")
    np.testing.assert_allclose(np.concatenate(first[0]), expected, atol=1e-3)
    method, _ = fit.restore(tmp_path / "run", embeddings)
    assert not np.array_equal(method.theta[0], first[1])
    other = dict(start, backbone_path=tmp_path / "other")
    fetch.fetch("efficientnet_lite0", other["backbone_path"], side=40, tuned_side=24)
    with pytest.raises(InputError, match="checkpoints: must be of a head on embeddings of this"):
        fit.train(config, *data, tmp_path / "c", tmp_path / "d", **other)
    with pytest.raises(InputError, match="--finetune_image_size: must be 24, the side of the sm"):
        finetuning.check(other["backbone_path"], SIDE)


def test_a_backbone_of_one_side_is_refused_for_another(tmp_path):
    images = keras.Input((8, 8, 3))
    vector = keras.layers.Dense(4)(keras.layers.Flatten()(images))
    keras.Model(images, vector).save(tmp_path / "own.keras")
    fetch.fetch(str(tmp_path / "own.keras"), tmp_path / "backbone")
    finetuning.check(tmp_path / "backbone", 8)
    with pytest.raises(InputError, match="--finetune_image_size: must be 8, the side") as raised:
        finetuning.check(tmp_path / "backbone", 16)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"backbone": "none", "finetune": True}, "--finetune: needs a --backbone, which is none"),
        ({"finetune_epochs": 2}, "--finetune_epochs: is for --finetune"),
        (
            {"backbone": "efficientnet_lite0", "backbone_learning_rate": 1.0},
            "--backbone_learning_rate: is for --finetune",
        ),
        ({**TUNE, "backbone": "a.keras", "finetune_image_size": 4}, "must be 8 or more"),
        ({**TUNE, "backbone": "a.keras", "finetune_image_size": 5000}, "must be 4096 or less"),
        ({**TUNE, "backbone": "a.keras", "finetune_learning_rate": 0}, "must be above 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(given, rule):
    with pytest.raises(InputError, match=rule):
        configuration.resolve("image_folder", **given)


def test_settings_of_both_trainings():
    given = {"finetune": True, "finetune_image_size": 64, "learning_rate": 0.7}
    both = configuration.resolve("csv", backbone="efficientnet_lite0", **given)
    plain = configuration.resolve("csv", backbone="efficientnet_lite0", learning_rate=0.7)
    head, tuned = finetuning.of_head(both), finetuning.of_finetuning(both)
    assert head == plain
    assert finetuning.of_both(head, tuned) == both
    assert (tuned.finetune_image_size, tuned.batch_size, tuned.optimizer) == (64, 64, "momentum")
    assert (head.on_embeddings, tuned.on_embeddings) == (True, False)
    own = configuration.resolve("csv", backbone="own.keras", **given)
    sides = [finetuning.of_finetuning(each).image_size for each in (both, own)]
    assert sides == [0, 64]  # of the images that the network takes; 0: as they were embedded


def test_a_head_of_something_else_is_refused(
    tune, head, supervised_run, digits, noisy_labels, probe_split, embeddings, tmp_path
):
    with pytest.raises(InputError, match="checkpoints: must be those of a head with --method=rob"):
        tune(start=head("supervised"))
    with pytest.raises(InputError, match="checkpoints: must be those of a head with --backbone="):
        tune("supervised", start=supervised_run / "checkpoints")
    config = finetuning.of_finetuning(fit.restored(tune())[0].config)
    data = digits, noisy_labels, probe_split, tmp_path / "a", tmp_path / "b"
    with pytest.raises(InputError, match="--finetune: needs a backbone and a head"):
        fit.train(config, *data, embeddings_path=embeddings)
    with pytest.raises(InputError, match="embeddings: must be of the backbone of the run"):
        fit.train(config, *data)
    fetch.fetch("efficientnet_lite0", tmp_path / "other", side=32)
    with pytest.raises(InputError, match="checkpoints: must be of a head on embeddings of this"):
        data = input_pipeline.load_training_data(*data[:3], config)
        finetuning.read_start(config, data.manifests, tmp_path / "other", head("robust"))


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow) for name in ("one size", "two sizes")],
)
def flags(request, photographs, own_backbone):
    one = {"backbone": str(own_backbone)}
    two = {"backbone": "efficientnet_lite0", "backbone_image_size": 40}
    data = photographs.parent / "data"
    return {
        "data": str(data / "train"),
        "trusted": str(data / "test"),
        "probe_per_class": 2,
        **(one if request.param == "one size" else two),
        "max_iteration": 4,
        "eval_freq": 4,
        "batch_size": 20,
        **{"finetune": True, "finetune_image_size": 24, "finetune_epochs": 1},
    }


@pytest.fixture(scope="module")
def run(flags, tmp_path_factory):
    """A run on photographs from the command line, with all that follows it."""
    root = tmp_path_factory.mktemp("run") / "out"
    given = [f"--{name}={value}" for name, value in flags.items()]
    command = [sys.executable, "-m", "trainer", *given, f"--checkpoint_path={root}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "test/top1" in done.stdout
    local_run.audit(root, 2)
    local_run.export(root)
    local_run.report(root)
    return root


def test_the_exported_model_answers_as_the_evaluation_does(run):
    dataset = run / artifacts.PREPARED_DATASET
    method, found = fit.restore(run / "checkpoints", run / "embeddings")
    side = 40 if "kept_size" in found["backbone"] else 24
    assert found["image_shape"] == [side, side, 3]
    exported = artifacts.read(run / "exported_model", artifacts.EXPORTED_MODEL)
    z = predictions.predict_logits(dataset, method, "test")
    files = records.EncodedImages(dataset, "test")[np.arange(len(z))]
    served = tf.saved_model.load(str(run / "exported_model" / "saved_model"))
    answers = served(tf.constant(list(files)))["probabilities"]
    np.testing.assert_allclose(answers, softmax(z / exported["temperature"], axis=1), atol=1e-4)


def test_keras_loads_the_exported_network(run):
    loaded = keras.saving.load_model(run / "exported_model" / "model.keras", compile=False)
    method, _ = fit.restored(run / "checkpoints")
    network, backbone = fit.averaged_network(method), fetch.read_network(run / "backbone")
    images = np.random.default_rng(0).uniform(-1, 1, (2, *loaded.input_shape[1:]))
    images = seen = images.astype(np.float32)
    if kept := fetch.read(run / "backbone").get("kept_size"):
        grey_levels = 127.5 * (images + 1)
        numbers = backbone.predict_on_batch(grey_levels)[:, :kept].astype(np.float16)
        seen, images = partly_embedded.join(images, numbers.astype(np.float32)), grey_levels
    expected = network(seen, training=False)
    near = 1e-3 if kept else 1e-4  # the numbers pass in half precision
    np.testing.assert_allclose(loaded.predict_on_batch(images), expected, atol=near)
    np.testing.assert_allclose(loaded(images), expected, atol=near)


def test_folds_are_fine_tuned_from_heads_that_left_them_out(run):
    for number in (0, 1):
        fold = run / "folds" / str(number)
        head, tuned = (
            fit.restored(fold / place / "checkpoints")[0].config for place in ("head", ".")
        )
        assert (head.audit_fold, tuned.audit_fold) == (number, number)
        assert (head.on_embeddings, tuned.finetune) == (True, True)


def test_an_audit_multiplies_the_run_with_models_that_have_not_seen_the_label(run, tmp_path):
    data, embeddings = local_run.data_paths(run), run / artifacts.EMBEDDINGS
    runs = [run / artifacts.CHECKPOINTS]
    out = tmp_path / "audit"
    label_issues.audit(**data, checkpoints_paths=runs, output_path=out, embeddings_path=embeddings)
    assert artifacts.read(out, artifacts.LABEL_AUDIT)["predicted_by"] == WITH_RUN
    found = pd.read_parquet(out / label_issues.TABLE)
    found = found[found.split == "train"].sort_values("id")

    dataset = records.read_manifest(data["dataset_path"])
    given, _ = injection.read_noisy_labels(data["noisy_labels_path"], dataset)
    trusted, ids, _ = probe.read_split(data["probe_split_path"], dataset)
    method, _ = fit.restore(*runs, embeddings)
    x = predictions.last_features(data["dataset_path"], method, "train")
    true = records.read_clean_labels(data["dataset_path"])
    trusted = np.setdiff1d(np.arange(len(x)), ids)
    C = len(dataset["class_names"])
    unseen = cross_fitting.cross_fit(x[ids], given[ids], x[trusted], true[trusted], C)
    seen, _, _ = calibrated_probabilities(data["dataset_path"], data["probe_split_path"], method)
    posterior = unseen.probabilities * seen[ids] * unseen.transition[:, given[ids]].T
    p_given = posterior[np.arange(len(ids)), given[ids]] / posterior.sum(axis=1)
    np.testing.assert_allclose(found.label_score, p_given, atol=1e-5)


def test_the_card_says_what_was_fine_tuned(run):
    card = (run / "exported_model" / "model_card.md").read_text()
    sha256 = fetch.read(run / "backbone")["sha256"]
    seen = "seen as 24 x 24 x 3"
    if "kept_size" in fetch.read(run / "backbone"):
        seen = "beside a frozen copy", "seen by the backbone as 40 x 40 x 3"
    for text in ("fine-tuned at 24 x 24 pixels", *np.atleast_1d(seen), sha256):
        assert text in card


def test_a_size_that_the_backbone_cannot_take_is_one_line(flags, tmp_path):
    images = keras.Input((SIDE, SIDE, 3))
    vector = keras.layers.Dense(4)(keras.layers.Flatten()(images))
    keras.Model(images, vector).save(tmp_path / "own.keras")
    files = DataSettings(data=flags["data"], trusted=flags["trusted"], probe_per_class=2)
    settings = configuration.resolve(
        "image_folder", backbone=str(tmp_path / "own.keras"), finetune=True
    )
    arguments = dict(files=files, settings=settings, worker=0, send=lambda _: None)
    with pytest.raises(InputError, match="--finetune_image_size: must be 16, the side"):
        local_run.train(tmp_path / "out", "image_folder", "none", 0.0, **arguments)
    assert not (tmp_path / "out" / "embeddings").exists()
    assert dataclasses.asdict(settings)["finetune_image_size"] == 96
