import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.trainer.methods.golden_step import (
    WEIGHT_DECAY,
    assert_close,
    golden_batch,
    read_golden,
    tiny_network,
)
from trainer.data.augmentation import augment
from trainer.errors import InputError
from trainer.methods import FSR, meta_gradient
from trainer.methods.example_queue import ExampleQueue
from trainer.methods.fsr import FSRSettings, check_queue
from trainer.methods.losses import cross_entropy
from trainer.training.optimizer import AveragedMomentum

SETTINGS = FSRSettings(
    method="fsr", queue_capacity=40, queue_bs=20, meta_start_epoch=0, learning_rate=0.1
)


def make(settings=SETTINGS):
    """A method in the state before a first step, and the batch of the golden steps."""
    keras.utils.set_random_seed(0)
    method = FSR(tiny_network(), settings, WEIGHT_DECAY, num_examples=30)
    optimizer = AveragedMomentum(0.1)
    optimizer.build(method.network.trainable_variables)
    method.compile(optimizer, jit_compile=False)
    for momentum in optimizer.momentums:
        momentum.assign(keras.random.normal(momentum.shape, stddev=0.1, seed=1))
    rng = np.random.default_rng(0)
    method.queue.images.assign(rng.integers(256, size=(40, 12, 12, 3)))
    batch = golden_batch(read_golden("step_supervised"))
    batch = {name: batch[name] for name in ("id", "image", "label")}
    B = len(batch["id"])
    batch["mix_uniform"] = tf.constant(rng.random(B), tf.float32)
    batch["mix_permutation"] = tf.constant(rng.permutation(B))
    batch["queue_slot"] = tf.constant([4 * c + i for c in range(10) for i in (0, 2)])
    return method, batch


def loss_on_queue_after_lookahead(method, batch, images, q, w):
    """M(theta'(w)) and the losses of the plain images, written out without shortcuts."""
    config, n = method.config, len(method.last_layer)
    with tf.GradientTape() as tape:
        z = method.forward(images, method.theta)
        A = tf.reduce_sum(w * cross_entropy(q, z)) + method.regulariser()
    gradients = tape.gradient(A, method.last_layer)
    ahead = [
        t - config.meta_stepsize * (config.meta_momentum * m + d)
        for t, d, m in zip(method.last_layer, gradients, method.optimizer.momentums[-n:])
    ]
    slots = batch["queue_slot"]
    x = tf.concat([augment.scale(tf.gather(method.queue.images, slots)), batch["image"]], axis=0)
    z = method.forward(x, [*method.theta[:-n], *ahead])
    M = tf.reduce_mean(cross_entropy(method.one_hot(slots // 4), z[: len(slots)]))
    M += WEIGHT_DECAY * tf.add_n([tf.nn.l2_loss(t) for t in ahead])
    return M, cross_entropy(method.one_hot(batch["label"]), z[len(slots) :])


def test_meta_step_equals_reverse_over_reverse():
    method, batch = make()
    images, q = method.blend(batch)
    w = tf.fill(batch["label"].shape, 1 / len(batch["label"]))
    with tf.GradientTape() as tape:
        tape.watch(w)
        M, ce_ahead = loss_on_queue_after_lookahead(method, batch, images, q, w)
    expected = tape.gradient(M, w)
    with tf.GradientTape(persistent=True) as tape:
        z = method.forward(images, method.theta)
        A = tf.reduce_mean(cross_entropy(q, z)) + method.regulariser()
    actual = method.meta_step(batch, tape, A, z, q)
    assert_close(actual[0], M)
    assert_close(actual[1], expected, absolute=1e-7, relative=1e-5)
    assert_close(actual[2], ce_ahead)


def test_a_step_by_hand():
    method, batch = make()
    images, q = method.blend(batch)
    z = method.forward(images, method.theta).numpy()
    w0 = np.full(len(z), 1 / len(z), np.float32)
    with tf.GradientTape() as tape:
        w = tf.constant(w0)
        tape.watch(w)
        M, ce_ahead = loss_on_queue_after_lookahead(method, batch, images, q, w)
    dM_dw = tape.gradient(M, w).numpy()
    w = np.maximum(0, -dM_dw) / (np.maximum(0, -dM_dw).sum() + 1e-5)
    ce = cross_entropy(q, z).numpy()
    pseudo = 2 * cross_entropy(tf.fill([len(z), 10], 0.1), z).numpy().mean()
    R = method.regulariser().numpy()
    logs = tf.function(method.train_step)(batch)
    assert logs["loss_probe"].numpy() == pytest.approx(M.numpy(), rel=1e-5)
    assert logs["loss_pseudo"].numpy() == pytest.approx(pseudo, rel=1e-5)
    assert logs["loss"].numpy() == pytest.approx((w * ce).sum() + pseudo + R, rel=1e-4)
    np.testing.assert_allclose(
        method.queue.scores.numpy()[: len(z)], -0.1 * (ce - ce_ahead), rtol=1e-3, atol=1e-6
    )
    np.testing.assert_allclose(method.running_logits[: len(z)], 0.9 * z, rtol=1e-4, atol=1e-6)
    assert np.all(method.queue.scores.numpy()[len(z) :] == 0)


def test_running_means():
    method, _ = make()
    ids, ones = tf.constant([3, 1]), tf.ones([2])
    z = np.array([[2.0] + 9 * [0], 5 * [1.0] + 5 * [0]], np.float32)
    method.remember(ids, 3 * ones, z)
    method.remember(ids, ones, z)
    scores = method.queue.scores.numpy()
    np.testing.assert_allclose(scores[[3, 1]], 0.9 * -0.3 - 0.1, rtol=1e-6)
    said = 0.9 * z / np.sqrt(np.mean((0.9 * z) ** 2))
    np.testing.assert_allclose(
        method.running_logits.numpy()[[3, 1]], 0.1 * said + 0.9 * z, rtol=1e-5
    )
    target = tf.nn.softmax(
        method.running_logits.numpy()[[3, 1]]
        / np.sqrt(np.mean(method.running_logits.numpy()[[3, 1]] ** 2))
    )
    expected = 2 * np.mean(cross_entropy(target, z))
    assert method.pseudo_loss(ids, z).numpy() == pytest.approx(expected, rel=1e-5)


def test_a_beta_of_one_adds_up():
    method, _ = make(dataclasses.replace(SETTINGS, queue_beta=1.0))
    for _ in range(2):
        method.remember(tf.constant([3]), tf.constant([0.5]), tf.ones([1, 10]))
    assert method.queue.scores.numpy()[3] == -1


def test_weights_are_even_at_first():
    method, batch = make(dataclasses.replace(SETTINGS, meta_start_epoch=1))
    logs = tf.function(method.train_step)(batch)
    np.testing.assert_allclose(method.record.means()[0]["weight"][:20], 1 / 20, rtol=1e-6)
    assert logs["loss_pseudo"] == 0


def test_shifted_weights():
    method, _ = make(dataclasses.replace(SETTINGS, clip_meta_weight=False))
    w = method.weigh(tf.fill([4], 0.25), tf.constant([0.1, -0.3, 0.0, 0.2]))
    raw = np.array([0.1, 0.5, 0.2, 0.0]) + 0.25
    np.testing.assert_allclose(w, raw / (raw.sum() + 1e-5), rtol=1e-6)


def test_without_mixup_labels_are_smoothed():
    method, batch = make(dataclasses.replace(SETTINGS, use_mixup=False, label_smoothing=0.2))
    images, q = method.blend(batch)
    np.testing.assert_array_equal(images, batch["image"])
    np.testing.assert_allclose(tf.reduce_max(q, axis=1), 0.82, rtol=1e-6)
    np.testing.assert_allclose(tf.reduce_sum(q, axis=1), 1, rtol=1e-6)


def test_the_lowest_scores_of_each_class():
    queue = ExampleQueue(capacity=4, image_shape=(1, 1, 1), num_examples=7)
    queue.scores.assign([0.0, -2, 5, 0, 0, -1, 0])
    labels = np.array([0, 0, 1, 1, 1, 0, 1])
    order = np.array([6, 5, 4, 3, 2, 1, 0])
    np.testing.assert_array_equal(queue.lowest(labels, 2, order), [1, 5, 6, 4])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"queue_capacity": 42}, "--queue_capacity: must be a multiple of 4 classes. Received: 42"),
        ({"queue_bs": 10}, "--queue_bs: must be a multiple of 4 classes. Received: 10"),
        ({"queue_bs": 80}, "--queue_bs: must be at most --queue_capacity, 40. Received: 80"),
        ({"queue_capacity": 60}, "--queue_capacity: must be at most 40: a class has only 10 given"),
    ],
)
def test_a_queue_that_cannot_be_filled(settings, message):
    labels = np.repeat(np.arange(4), [10, 11, 12, 13])
    check_queue(SETTINGS, labels, 4)
    with pytest.raises(InputError, match=message):
        check_queue(dataclasses.replace(SETTINGS, **settings), labels, 4)


def test_value_and_gradient_passes_on_what_else_is_computed():
    (value, other), gradient = meta_gradient.value_and_gradient(
        lambda theta: (theta[0] ** 2, 5 * theta[0]), [tf.constant(3.0)]
    )
    assert (value.numpy(), other.numpy(), gradient[0].numpy()) == (9, 15, 6)


def test_coefficients_in_half_precision_are_those_of_full_precision():
    weights = []
    for dtype in ("float32", "bfloat16"):
        method, batch = make(dataclasses.replace(SETTINGS, mixed_precision=dtype))
        tf.function(method.train_step)(batch)
        weights.append(method.record.means()[0]["weight"])
    assert_close(weights[1], weights[0])
