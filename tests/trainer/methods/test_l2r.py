import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.methods.golden_step import (
    assert_close,
    assert_state_after_step,
    golden_batch,
    golden_method,
    read_golden,
)
from trainer.methods.method import cross_entropy, example_weights

FILES = {"exact": "step_l2r", "last_layer": "step_l2r_last_layer"}


@pytest.mark.parametrize("meta_gradient", FILES)
def test_golden_step(meta_gradient):
    arrays = read_golden(FILES[meta_gradient])
    method = golden_method("l2r", arrays, meta_gradient=meta_gradient)
    logs = tf.function(method.train_step)(golden_batch(arrays))
    assert_close(logs["loss"], arrays["total_loss"])
    assert_close(logs["loss_probe"], arrays["meta_loss"])
    assert_close(logs["zero_weights"], np.mean(arrays["weights"] == 0))
    assert_state_after_step(method, arrays, average_after_update=False)


@pytest.mark.parametrize("meta_gradient", FILES)
def test_golden_meta_step(meta_gradient):
    arrays = read_golden(FILES[meta_gradient])
    method = golden_method("l2r", arrays, meta_gradient=meta_gradient)
    batch = golden_batch(arrays)
    with tf.GradientTape(persistent=True) as tape:
        z, R = method.forward(batch["image"], method.theta), method.regulariser()
    zero = tf.UnconnectedGradients.ZERO
    gradients = tape.gradient(R, method.lookahead_theta[1], unconnected_gradients=zero)
    names = [v.path for v in method.network.trainable_variables][-len(gradients) :]
    for name, gradient in zip(names, gradients, strict=True):
        assert_close(gradient, arrays[f"lookahead_grad/{name}"])
    M, dM_dw = method.meta_step(batch, tape, z, R)
    assert_close(M, arrays["meta_loss"])
    assert_close(dM_dw, arrays["dM_dw"])
    assert_close(example_weights(dM_dw), arrays["weights"])
    z = method.forward(batch["image"], method.theta)
    assert_close(z, arrays["logits_weak"])
    assert_close(cross_entropy(method.one_hot(batch["label"]), z), arrays["ce"])


def test_a_batch_that_helps_nothing_has_no_weight():
    assert not np.any(example_weights(tf.constant([0.0, 0.5, 2.0])))
