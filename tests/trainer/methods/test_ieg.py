import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.methods.golden_step import (
    WEIGHT_DECAY,
    assert_close,
    assert_state_after_step,
    golden_batch,
    golden_method,
    read_golden,
    state,
)
from trainer.methods import ieg, meta_gradient
from trainer.methods.losses import consistency, cross_entropy
from trainer.methods.method import example_weights
from trainer.methods.mixup import mixup


@pytest.fixture(scope="module")
def arrays():
    return read_golden("step_ieg")


def lookahead_loss(method, batch):
    """Its tape, the loss A and the logits of both views, as `meta_step` takes them."""
    with tf.GradientTape(persistent=True) as tape:
        z = [method.forward(batch[view], method.theta) for view in ("image", "strong_image")]
        g = ieg.guess_labels(*z)
        g = tf.stop_gradient(g) if method.config.stop_guess else g
        q = 0.9 * method.one_hot(batch["label"]) + 0.1 * g
        A = tf.reduce_mean(cross_entropy(q, z[0])) + method.regulariser()
    return tape, A, z


@pytest.mark.parametrize("jit_compile", [False, True])
def test_golden_step(arrays, jit_compile):
    method = golden_method("ieg", arrays)
    logs = tf.function(method.train_step, jit_compile=jit_compile)(golden_batch(arrays))
    assert_close(logs["loss"], arrays["total_loss"])
    assert_close(logs["loss_probe"], arrays["meta_loss"])
    assert_close(logs["loss_mixup"], arrays["L_xe"])
    assert_close(logs["loss_consistency"], arrays["L_kl"])
    assert_close(logs["zero_weights"], np.mean(arrays["weights"] == 0))
    assert_close(logs["lam"], np.mean(arrays["eps_star"]))
    means, seen = method.record.means()
    assert_close(means["weight"], arrays["weights"])
    np.testing.assert_array_equal(means["lam"], arrays["eps_star"])
    assert seen.all()
    assert_state_after_step(method, arrays, average_after_update=True)


def test_golden_step_of_two_replicas(two_replicas):
    """Weights, labels, MixUp and batch norm are per replica; gradients are summed.

    The release leaves each replica its moving statistics; here all have the mean.
    """
    arrays = read_golden("step_ieg_2rep")
    for name in [name for name in arrays if "var1" in name and "moving" in name]:
        copies = (arrays[name.replace("var1", replica)] for replica in ("comp0", "comp1"))
        arrays[name] = sum(copies) / 2
    with two_replicas.scope():
        method = golden_method("ieg", arrays)
    batch = golden_batch(arrays)
    per_replica = {"mix_uniform", "mix_permutation", "probe_draw"}

    def part(context):
        r = context.replica_id_in_sync_group
        return {
            name: value[r] if name in per_replica else value[20 * r : 20 * (r + 1)]
            for name, value in batch.items()
        }

    parts = two_replicas.experimental_distribute_values_from_function(part)
    logs = tf.function(lambda: two_replicas.run(method.train_step, args=(parts,)))()
    for r, loss in enumerate(two_replicas.experimental_local_results(logs["loss"])):
        assert_close(loss / 2, arrays[f"rep{r}/total_loss"])
    assert_state_after_step(method, arrays, average_after_update=True)
    weights = np.concatenate([arrays[f"rep{r}/weights"] for r in (0, 1)])
    assert_close(method.record.means()[0]["weight"], weights)
    for name, variable in state(method)["var"].items():
        if "moving" in name:
            for copy in two_replicas.experimental_local_results(variable.value):
                assert_close(copy, arrays[f"var1/{name}"])


def test_golden_guess_and_mixup(arrays):
    method, batch = golden_method("ieg", arrays), golden_batch(arrays)
    z, z_strong = (method.forward(batch[i], method.theta) for i in ("image", "strong_image"))
    assert_close(z, arrays["logits_weak"])
    assert_close(z_strong, arrays["logits_strong"])
    g = ieg.guess_labels(z, z_strong)
    assert_close(g, arrays["guess"])
    assert_close(20 * consistency(z, z_strong), arrays["L_kl"])
    assert_close(method.mixup_loss(batch, g), arrays["L_xe"])
    images = tf.concat(
        [
            tf.gather(batch["probe_image"], batch["probe_draw"]),
            batch["image"],
            batch["strong_image"],
        ],
        axis=0,
    )
    labels = tf.one_hot(tf.gather(batch["probe_label"], batch["probe_draw"]), 10)
    labels = tf.concat([labels, g, g], axis=0)
    mixed = mixup(images, labels, batch["mix_uniform"], batch["mix_permutation"])
    assert_close(mixed[0], arrays["mix_images"])
    assert_close(mixed[1], arrays["mix_labels"])
    assert_close(method.forward(mixed[0], method.theta), arrays["logits_mix"])


def test_golden_meta_step(arrays):
    method, batch = golden_method("ieg", arrays), golden_batch(arrays)
    tape, A, z = lookahead_loss(method, batch)
    gradients = tape.gradient(A, method.theta)
    assert_close(A, arrays["lookahead_loss"])
    ahead = meta_gradient.lookahead(method.theta, gradients, 0.1, method.optimizer.momentums, 0.9)
    names = [v.path for v in method.network.trainable_variables]
    for name, gradient, theta in zip(names, gradients, ahead, strict=True):
        assert_close(gradient, arrays[f"lookahead_grad/{name}"])
        assert_close(theta, arrays[f"lookahead_var/{name}"])
    assert_close(method.forward(batch["probe_image"], ahead), arrays["logits_meta"])
    M, dM_dw, dM_dlam = method.meta_step(batch, tape, A, z)
    assert_close(M, arrays["meta_loss"])
    assert_close(dM_dw, arrays["dM_dw"])
    assert_close(dM_dlam, arrays["dM_de"])
    np.testing.assert_array_equal(dM_dlam < 0, arrays["eps_star"] == 1)
    assert_close(example_weights(dM_dw), arrays["weights"])


VARIANTS = {
    "exact": {},
    "stopped": {"stop_guess": True},
    "last layer": {"meta_gradient": "last_layer"},
    "both": {"stop_guess": True, "meta_gradient": "last_layer"},
}


@pytest.fixture(params=VARIANTS)
def in_float64(arrays, request):
    """The same method and batch in float64, with Keras's batch norm, which has that type."""
    keras.config.set_dtype_policy("float64")
    method = golden_method("ieg", arrays, decayed_keras_batch_norm, **VARIANTS[request.param])
    yield method, golden_batch(arrays, np.float64)
    keras.config.set_dtype_policy("float32")


def decayed_keras_batch_norm(name):
    l2 = keras.regularizers.L2(WEIGHT_DECAY / 2)
    return keras.layers.BatchNormalization(
        epsilon=1e-5, name=name, gamma_regularizer=l2, beta_regularizer=l2
    )


def probe_loss_after_lookahead(method, batch, w, lam):
    """M(theta'(w, lam)), differentiable in w and lam: what the meta step avoids to build."""
    y, config = method.one_hot(batch["label"]), method.config
    frozen, theta = method.lookahead_theta
    momentums = method.optimizer.momentums[len(frozen) :]
    with tf.GradientTape() as tape:
        z = method.forward(batch["image"], method.theta)
        g = ieg.guess_labels(z, method.forward(batch["strong_image"], method.theta))
        g = tf.stop_gradient(g) if config.stop_guess else g
        mixed = lam[:, tf.newaxis] * y + (1 - lam[:, tf.newaxis]) * g
        A = tf.reduce_sum(w * cross_entropy(mixed, z)) + method.regulariser()
    gradients = tape.gradient(A, theta)
    theta = [
        t - config.meta_stepsize * (config.meta_momentum * m + d)
        for t, d, m in zip(theta, gradients, momentums, strict=True)
    ]
    z = method.forward(batch["probe_image"], [*frozen, *theta])
    ce = cross_entropy(method.one_hot(batch["probe_label"]), z)
    return tf.reduce_mean(ce) + WEIGHT_DECAY * tf.add_n([tf.nn.l2_loss(t) for t in theta])


def test_meta_step_equals_reverse_over_reverse_in_float64(in_float64):
    method, batch = in_float64
    B = len(batch["label"])
    w, lam = (
        tf.fill([B], tf.constant(1 / B, tf.float64)),
        tf.fill([B], tf.constant(0.9, tf.float64)),
    )
    with tf.GradientTape() as tape:
        tape.watch([w, lam])
        expected_M = probe_loss_after_lookahead(method, batch, w, lam)
    expected = tape.gradient(expected_M, [w, lam])
    M, *actual = method.meta_step(batch, *lookahead_loss(method, batch))
    np.testing.assert_allclose(M, expected_M, rtol=1e-12)
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(actual[1], expected[1], rtol=1e-9, atol=1e-12)


def test_meta_step_equals_finite_differences_in_float64(in_float64):
    method, batch = in_float64
    B, step = len(batch["label"]), 1e-5
    start = np.array([np.full(B, 1 / B), np.full(B, 0.9)])
    _, *actual = method.meta_step(batch, *lookahead_loss(method, batch))
    for coefficient in (0, 1):
        for example in (0, 7, B - 1):
            change = np.zeros_like(start)
            change[coefficient, example] = step
            up, down = (
                probe_loss_after_lookahead(
                    method, batch, *tf.unstack(tf.constant(start + sign * change))
                )
                for sign in (1, -1)
            )
            slope = (up - down) / (2 * step)
            np.testing.assert_allclose(actual[coefficient][example], slope, rtol=1e-5, atol=1e-9)
