"""The network, state and batch of `tests/golden/step_*.npz`."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from trainer.methods import METHODS
from trainer.networks.batch_norm import FusedBatchNorm
from trainer.training import configuration
from trainer.training.optimizer import AveragedMomentum

GOLDEN = Path(__file__).parents[2] / "golden"
WEIGHT_DECAY = 5e-4


def tiny_network(batch_norm=FusedBatchNorm):
    """Two convolutions with batch norm, a mean and a dense layer, as the golden README has it."""
    l2 = keras.regularizers.L2(WEIGHT_DECAY / 2)
    images = x = keras.Input((12, 12, 3))
    for i, (filters, strides) in enumerate(((8, 1), (16, 2)), start=1):
        x = keras.layers.Conv2D(
            filters, 3, strides, "same", use_bias=False, kernel_regularizer=l2, name=f"conv{i}"
        )(x)
        x = keras.layers.ReLU()(batch_norm(name=f"bn{i}")(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    dense = keras.layers.Dense(10, kernel_regularizer=l2, bias_regularizer=l2, name="dense")
    return keras.Model(images, dense(x))


def decayed_batch_norm(name):
    return FusedBatchNorm(regularizer=keras.regularizers.L2(WEIGHT_DECAY / 2), name=name)


def read_golden(name):
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return dict(arrays)


def golden_method(method, arrays, batch_norm=decayed_batch_norm, **overrides):
    """The method with weights, slots and averages as they were before the golden step."""
    cfg = {key[4:]: round(float(arrays[key]), 7) for key in arrays if key.startswith("cfg/")}
    names = ["ce_factor", "consistency_factor", "grad_eps_init", "meta_momentum", "meta_stepsize"]
    golden = configuration.those_of(method, {name: cfg[name] for name in names})
    config = METHODS[method].Settings(method=method, **golden, **overrides)
    model = METHODS[method](tiny_network(batch_norm), config, WEIGHT_DECAY, len(arrays["y"]))
    optimizer = AveragedMomentum(lambda: cfg["learning_rate"], cfg["momentum"])
    optimizer.build(model.trained)
    model.compile(optimizer, jit_compile=False)
    for prefix, variables in state(model).items():
        for name, variable in variables.items():
            variable.assign(arrays[f"{prefix}0/{name}"])
    return model


def state(model):
    """Variables by the prefix and name that they have in the golden files."""
    network, optimizer = model.network, model.optimizer
    trained = [variable.path for variable in network.trainable_variables]
    return {
        "var": {variable.path: variable for variable in network.variables},
        "mom": dict(zip(trained, optimizer.momentums)),
        "ema": dict(zip(trained, model.ema, strict=True)),
    }


def golden_batch(arrays, dtype=np.float32):
    names = {
        "image": "x_weak",
        "label": "y",
        "strong_image": "x_strong",
        "probe_image": "x_probe",
        "probe_label": "y_probe",
        "mix_uniform": "mix_uniform",
        "mix_permutation": "mix_perm",
        "probe_draw": "probe_gather",
    }
    batch = {name: arrays[key] for name, key in names.items() if key in arrays}
    batch["id"] = np.arange(len(arrays["y"]))
    return {
        name: tf.constant(value.astype(dtype) if value.dtype == np.float32 else value)
        for name, value in batch.items()
    }


def assert_close(actual, expected, absolute=1e-5, relative=1e-5):
    """Within `absolute` + `relative` * max |expected|, the tolerance the golden README states."""
    tolerance = absolute + relative * np.max(np.abs(expected))
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=0, atol=tolerance)


def assert_state_after_step(model, arrays, average_after_update):
    """Weights, moving statistics, momentum and averages are those after the golden step."""
    variables = state(model)
    for name, variable in variables["var"].items():
        assert_close(variable, arrays[f"var1/{name}"])
    for name, momentum in variables["mom"].items():
        assert_close(momentum, arrays[f"mom1/{name}"], 5e-5, 2e-5)
    for name, average in variables["ema"].items():
        expected = arrays[f"ema1/{name}"]
        if not average_after_update:
            # The release averages the old weights here, with the old count; we the new ones.
            d = 2 / 11
            expected = d * arrays[f"ema0/{name}"] + (1 - d) * arrays[f"var1/{name}"]
        assert_close(average, expected)
    assert model.optimizer.iterations.numpy() == arrays["cfg/global_step_after"]
