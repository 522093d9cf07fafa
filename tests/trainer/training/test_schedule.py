import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer.settings.training import TrainSettings
from trainer.training.optimizer import AveragedMomentum
from trainer.training.schedule import cycle_ends, learning_rate

with np.load(Path(__file__).parents[2] / "golden" / "schedules.npz") as arrays:
    GOLDEN = dict(arrays)

SCHEDULES = {
    "cosine_a": "cosine",
    "cosine_b": "cosine",
    "cosine_flag_warmup": "cosine",
    "cosine_warmup": "cosine_warmup",
    "cosine_one": "cosine_one",
    "custom_step": "custom_step",
    "exponential": "exponential",
}


@pytest.mark.parametrize("tag", SCHEDULES)
def test_golden_learning_rates(tag):
    golden = {k.removeprefix(f"{tag}/"): v for k, v in GOLDEN.items() if k.startswith(f"{tag}/")}
    config = TrainSettings(
        lr_schedule=SCHEDULES[tag],
        learning_rate=round(float(golden["param_base_lr"]), 6),
        decay_steps=",".join(str(int(s)) for s in np.atleast_1d(golden["decay_steps"])),
        cos_t_mul=float(golden["param_t_mul"]),
        cos_m_mul=round(float(golden["param_m_mul"]), 6),
        decay_rate=round(float(golden.get("param_decay_rate", 0.1)), 6),
        max_iteration=int(golden.get("param_max_iteration", 200_000)),
        warmup_epochs=2 if golden.get("param_warmup_steps", 0) else 0,
    )
    steps = golden.get("step", golden.get("iteration", 0) - 1)
    schedule = learning_rate(config, int(golden.get("param_warmup_steps", 0)) // 2)
    rates = [schedule(tf.constant(step, tf.int64)) for step in steps]
    np.testing.assert_allclose(rates, golden["lr"], rtol=0, atol=1e-5 * config.learning_rate)


def test_golden_averaging_decay():
    """D of every step, read off an average that starts at 0 while the weight stays at 1."""
    optimizer, weight = AveragedMomentum(0.0), tf.Variable(1.0)
    optimizer.build([weight])
    average = optimizer.averages[0]
    for n, d in zip(GOLDEN["ema/step"], GOLDEN["ema/decay"], strict=True):
        if n == 0:
            continue  # the count after the first step is 1
        optimizer.iterations.assign(n - 1)
        average.assign(0.0)
        optimizer.apply([tf.constant(0.0)], [weight])
        np.testing.assert_allclose(1 - average, d, atol=1e-6)


def test_learning_rate_ends_at_zero():
    config = dataclasses.replace(TrainSettings(), lr_schedule="cosine_one", max_iteration=10)
    assert float(learning_rate(config, 1)(10)) == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("tag", ["cosine_a", "cosine_b"])
def test_golden_cycle_ends(tag):
    golden = GOLDEN[f"{tag}/cycle_end_eval_iterations"]
    config = TrainSettings(
        decay_steps=str(int(GOLDEN[f"{tag}/decay_steps"].item())),
        cos_t_mul=float(GOLDEN[f"{tag}/param_t_mul"]),
        max_iteration=int(golden[-1]),
    )
    assert sorted(cycle_ends(config))[: len(golden)] == list(golden)
    assert not cycle_ends(dataclasses.replace(config, lr_schedule="cosine_one"))
