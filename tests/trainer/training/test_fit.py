import json
import os
import signal
import time
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.util import event_pb2

from tests.trainer.training.at_step import AtStep, stop
from trainer import artifacts
from trainer.data import probe
from trainer.data.noise import injection
from trainer.errors import InputError, Preempted, TrainingError
from trainer.methods import METHODS, example_record
from trainer.training import configuration, fit, testing
from trainer.training.optimizer import LossScale

SLOW = pytest.mark.slow


def weights(checkpoints_path):
    method, _ = fit.restore(checkpoints_path)
    variables = method.network.variables + method.optimizer.variables
    if method.config.method == "fsr":
        variables += [method.queue.scores, method.queue.ids, method.running_logits]
    return [variable.numpy() for variable in variables]


def test_outputs(supervised_run):
    run = artifacts.read(supervised_run / "checkpoints", "checkpoints")
    assert run["config"]["max_iteration"] == 20
    assert (run["method"], run["noise"], run["noise_ratio"]) == ("supervised", "uniform", 0.9)
    assert set(run["parents"]) == {"prepared_dataset", "noisy_labels", "probe_split"}
    model = artifacts.read(supervised_run / "model", "model")
    assert model["class_names"] == list("0123456789")
    method, _ = fit.restore(supervised_run / "checkpoints")
    assert int(method.optimizer.iterations) == 20
    network = keras.models.load_model(supervised_run / "model" / "model.keras")
    for variable, average in zip(network.trainable_variables, method.optimizer.averages):
        np.testing.assert_array_equal(variable, average)


@pytest.mark.parametrize(
    "method", [m if m == "ieg" else pytest.param(m, marks=SLOW) for m in METHODS]
)
def test_the_same_seed_gives_the_same_weights(trained, method):
    first, second, other = (
        weights(trained(method, max_iteration=6, eval_freq=6, seed=seed) / "checkpoints")
        for seed in (1, 1, 2)
    )
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.fixture
def run(digits, noisy_labels, probe_split, tmp_path):
    """A function that trains in a directory of a name. Returns its weights and history."""

    def run(name, callbacks=(), **settings):
        settings = configuration.resolve(
            "digits", **{"max_iteration": 25, "eval_freq": 10} | settings
        )
        paths = tmp_path / name / "checkpoints", tmp_path / name / "model"
        fit.train(settings, digits, noisy_labels, probe_split, *paths, callbacks=callbacks)
        return weights(paths[0]), json.loads((paths[0] / "history.json").read_text())

    return run


def assert_same(first, second):
    for a, b in zip(first[0], second[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert first[1] == second[1]


@pytest.mark.parametrize(
    ("method", "image_cache_gb"),
    [
        ("ieg", 8.0),
        pytest.param("ieg", 0.0, marks=SLOW),
        pytest.param("fsr", 8.0, marks=SLOW),
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_one(run, tmp_path, method, image_cache_gb):
    settings = {"method": method, "image_cache_gb": image_cache_gb}
    settings |= configuration.those_of(method, {"meta_start_epoch": 1})
    whole = run("whole", **settings)
    assert [row["step"] for row in whole[1]] == [10, 20, 25]
    for step in (3, 14, 25):
        with pytest.raises(KeyboardInterrupt):
            run("cut", [AtStep(step, stop)], **settings)
        with pytest.raises(InputError, match="half-written"):
            fit.restore(tmp_path / "cut" / "checkpoints")
    assert_same(run("cut", **settings), whole)


@pytest.mark.slow
def test_a_checkpoint_also_by_time(digits, noisy_labels, probe_split, tmp_path):
    """Between two tests, which nothing else changes."""
    histories = []
    for minutes, count in ((0, 2), (1e-9, 12)):
        settings = {"method": "supervised", "max_iteration": 12, "eval_freq": 6}
        settings = configuration.resolve("digits", **settings, checkpoint_minutes=minutes)
        out, saved = tmp_path / str(minutes), []
        data = digits, noisy_labels, probe_split
        fit.train(settings, *data, out / "c", out / "m", after_save=partial(saved.append, 1))
        assert len(saved) == count
        histories.append((out / "c" / "history.json").read_text())
    assert histories[0] == histories[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=SLOW)],
)
def test_a_signal_saves_a_checkpoint_and_prints_a_line(
    run, tmp_path, monkeypatch, capsys, number, status
):
    now = time.monotonic

    with monkeypatch.context() as patch, pytest.raises(Preempted) as ended:

        def terminate(logs):
            patch.setattr(time, "monotonic", lambda: now() + 1000)
            os.kill(os.getpid(), number)

        run("cut", [AtStep(13, terminate)])
    assert ended.value.code == status
    assert str(ended.value) == "interrupted at step 13; the same command resumes"
    assert (tmp_path / "cut" / "checkpoints" / "last" / "ckpt-13.index").is_file()
    capsys.readouterr()
    cut = run("cut")
    assert capsys.readouterr().err.startswith("resuming at step 13\n")
    assert_same(cut, run("whole"))
    cut, whole = (
        artifacts.read(tmp_path / name / "checkpoints", "checkpoints") for name in ("cut", "whole")
    )
    assert whole["seconds"] < 1000 < cut["seconds"]


@pytest.mark.parametrize(
    ("part", "bytes_left"),
    [
        pytest.param("data*", 1000, marks=SLOW),
        pytest.param("data*", 0, marks=SLOW),
        pytest.param("index", 0, marks=SLOW),
    ],
)
def test_a_truncated_checkpoint_is_passed_over(run, tmp_path, capsys, part, bytes_left):
    settings = {"method": "supervised", "max_iteration": 6, "eval_freq": 2}
    with pytest.raises(KeyboardInterrupt):
        run("cut", [AtStep(5, stop)], **settings)
    (newest,) = (tmp_path / "cut" / "checkpoints" / "last").glob(f"ckpt-4.{part}")
    os.truncate(newest, bytes_left)
    assert_same(run("cut", **settings), run("whole", **settings))
    assert "ckpt-4 cannot be read" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", ["supervised", pytest.param("ieg", marks=SLOW), pytest.param("fsr", marks=SLOW)]
)
def test_two_replicas_train_and_resume(run, two_replicas, tmp_path, monkeypatch, method):
    """Through `fit`, with a mirrored strategy over two devices of this machine."""
    monkeypatch.setattr(fit, "replicas", lambda: two_replicas)
    settings = {"method": method, "max_iteration": 8, "eval_freq": 4, "batch_size": 50}
    settings |= configuration.those_of(method, {"meta_start_epoch": 0})
    whole = run("whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        run("cut", [AtStep(7, stop)], **settings)
    assert_same(run("cut", **settings), whole)
    monkeypatch.undo()
    one = run("one", **settings)
    assert any(not np.array_equal(a, b) for a, b in zip(whole[0], one[0], strict=True))


@SLOW
@pytest.mark.parametrize("method", ["supervised", "ieg"])
def test_each_precision_reaches_the_loss_of_float32(run, tmp_path, method):
    losses, steps = {}, {"max_iteration": 60, "eval_freq": 60, "batch_size": 25}
    for precision in ("float16", "bfloat16", "float32"):  # no run leaves its own to the next
        _, (row,) = run(precision, method=method, mixed_precision=precision, **steps)
        losses[precision] = row["train/loss"]
        trained, _ = fit.restore(tmp_path / precision / "checkpoints")
        assert trained.network.layers[1].compute_dtype == precision
        saved = keras.models.load_model(tmp_path / precision / "model" / "model.keras")
        assert saved.layers[1].compute_dtype == "float32"
    assert len(set(losses.values())) == 3
    assert losses == pytest.approx(dict.fromkeys(losses, losses["float32"]), rel=0.01)


@SLOW
def test_float16_resumes_across_skipped_steps(run, tmp_path, monkeypatch):
    """The first loss scale is so high that gradients overflow; the run is cut off then."""
    monkeypatch.setattr(fit, "LossScale", partial(LossScale, initial_scale=2.0**28))
    settings = {"method": "supervised", "mixed_precision": "float16"}
    settings |= {"max_iteration": 18, "eval_freq": 4, "batch_size": 25}
    whole = run("whole", **settings)
    optimizer = fit.restore(tmp_path / "whole" / "checkpoints")[0].optimizer
    assert optimizer.iterations == 18
    assert 0 < optimizer.step_counter < 12  # steps since the last that was skipped
    with pytest.raises(KeyboardInterrupt):
        run("cut", [AtStep(6, stop)], **settings)
    assert_same(run("cut", **settings), whole)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_run(run, tmp_path):
    def spoil(logs):
        logs["loss_mixup"] = float("nan")

    with pytest.raises(TrainingError, match="loss_mixup is nan at step 14"):
        run("spoilt", [AtStep(14, spoil)])
    names = {p.name for p in (tmp_path / "spoilt" / "checkpoints" / "last").glob("*.index")}
    assert names == {"ckpt-10.index"}


def test_a_learning_rate_far_too_high_is_reported(run, tmp_path):
    """The first value that becomes infinite is named, and no such checkpoint is kept."""
    with pytest.raises(TrainingError, match=r"(at|after) step"):
        run("wild", method="supervised", learning_rate=1e30)
    assert not (tmp_path / "wild" / "checkpoints" / "manifest.json").exists()


def test_the_best_checkpoint_is_that_of_the_best_test(run, tmp_path):
    _, history = run("best", method="supervised", max_iteration=40)
    best = max(history, key=lambda row: row["test/top1"])
    names = [p.name for p in (tmp_path / "best" / "checkpoints" / "best").glob("*.index")]
    assert names == [f"ckpt-{best['step']}.index"]


def test_raw_weights_are_tested_on_request(run):
    (both,) = run("both", method="supervised", max_iteration=2, test_raw_weights=True)[1]
    (averaged,) = run("averaged", method="supervised", max_iteration=2)[1]
    assert both.keys() - averaged.keys() == {"test/top1_raw", "test/top5_raw"}
    for name in averaged.keys() - {"seconds"}:
        assert averaged[name] == both[name], name


def test_tensorboard_shows_the_history(supervised_run):
    (events,) = (supervised_run / "checkpoints" / "tensorboard").glob("events*")
    shown = {}
    for record in tf.data.TFRecordDataset(str(events)).as_numpy_iterator():
        event = event_pb2.Event.FromString(record)
        for value in event.summary.value:
            shown[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    (row,) = json.loads((supervised_run / "checkpoints" / "history.json").read_text())
    for name in ("train/loss", "test/top1"):
        assert shown[name, row["step"]] == pytest.approx(row[name], rel=1e-6)
    assert shown["learning_rate", 20] == pytest.approx(0, abs=1e-8)
    assert shown["images_per_second", 20] > 0


def test_the_history_says_how_well_coefficients_find_wrong_labels(run):
    _, history = run("detect", method="l2r", max_iteration=60, eval_freq=30)
    for row in history:
        assert row["train/weight_right"] > 2 * row["train/weight_wrong"]
        assert row["train/weight_auroc"] > 0.7


@pytest.mark.slow
def test_fsr_tells_wrong_labels_without_a_probe(digits, tmp_path):
    injection.inject(digits, tmp_path / "labels", "uniform", 0.4, seed=0)
    probe.split(digits, tmp_path / "split", per_class=0, seed=0)
    settings = configuration.resolve("digits", method="fsr", max_iteration=200, eval_freq=200)
    paths = tmp_path / "checkpoints", tmp_path / "model"
    fit.train(settings, digits, tmp_path / "labels", tmp_path / "split", *paths)
    (row,) = json.loads((paths[0] / "history.json").read_text())
    assert row["train/weight_auroc"] > 0.9
    assert row["test/top1"] > 0.8
    settings = configuration.resolve("digits", method="ieg")
    with pytest.raises(InputError, match="--probe_per_class: must be 1 or more for ieg, which"):
        fit.train(settings, digits, tmp_path / "labels", tmp_path / "split", *paths)


def test_noise_detection_by_hand():
    record = example_record.ExampleRecord(("weight",), 5)
    record.add(tf.constant([0, 1, 2, 3]), {"weight": tf.constant([0.4, 0.1, 0.2, 0.0])})
    record.add(tf.constant([0, 1, 2, 3]), {"weight": tf.constant([0.2, 0.1, 0.0, 0.0])})
    wrong = np.array([False, True, False, True, True])
    known = np.ones(5, bool)
    assert testing.noise_detection(record, wrong, known) == pytest.approx(
        {
            "train/weight_right": 0.2,
            "train/weight_wrong": 0.05,
            "train/weight_auroc": 0.875,  # of four pairs three are in order, and one is a tie
        }
    )
    assert testing.noise_detection(record, np.zeros(5, bool), known) == {}
    assert testing.noise_detection(record, wrong, np.arange(5) == 1) == {}


def test_versions_stand_beside_the_checkpoints(supervised_run):
    content = json.loads((supervised_run / "checkpoints" / "config.json").read_text())
    assert content["versions"]["tensorflow"]
    assert content["config"]["method"] == "supervised"


def test_a_directory_of_another_run_is_refused(supervised_run, digits, noisy_labels, probe_split):
    settings = configuration.resolve("digits", method="supervised", max_iteration=21, eval_freq=20)
    paths = supervised_run / "checkpoints", supervised_run / "model"
    before = (paths[0] / "manifest.json").read_bytes()
    with pytest.raises(InputError, match=r"directory: holds another run .max_iteration=20.; name"):
        fit.train(settings, digits, noisy_labels, probe_split, *paths)
    assert (paths[0] / "manifest.json").read_bytes() == before


def test_a_finished_run_is_not_trained_again(supervised_run, digits, noisy_labels, probe_split):
    paths = supervised_run / "checkpoints", supervised_run / "model"
    before = (paths[0] / "manifest.json").read_bytes()
    settings = configuration.restored(json.loads(before)["config"])
    fit.train(settings, digits, noisy_labels, probe_split, *paths)
    assert (paths[0] / "manifest.json").read_bytes() == before
