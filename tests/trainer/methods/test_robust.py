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
)
from trainer.config import TrainConfig
from trainer.data.noise.transition import uniform_noise
from trainer.methods.robust import Robust, forward_cross_entropy, guess_cross_entropy, turned
from trainer.networks import convnet


def without_probe(arrays):
    """The golden batch of supervised, with which the strong view is the weak one."""
    batch = golden_batch(arrays)
    empty = {"probe_image": batch["image"][:0], "probe_label": batch["label"][:0]}
    return batch | {"strong_image": batch["image"]} | empty


def test_without_its_parts_it_is_the_golden_supervised_step():
    arrays = read_golden("step_supervised")
    factors = {"turn_factor": 0.0, "guess_factor": 0.0, "balance_factor": 0.0}
    off = {"trusted_share": 0.0, "correct_noise": False}
    method = golden_method("robust", arrays, **factors, **off)
    logs = tf.function(method.train_step)(without_probe(arrays))
    assert_close(logs["loss"], arrays["total_loss"])
    assert_state_after_step(method, arrays, average_after_update=False)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_strong_view_is_that_of_the_first_part_of_the_batch(share):
    arrays = read_golden("step_supervised")
    batch, B = without_probe(arrays), len(arrays["y"])

    def loss(changed):
        method = golden_method("robust", arrays, strong_share=share, turn_factor=0.0)
        strong = tf.where(changed[:, None, None, None], -1.0, batch["strong_image"])
        return float(method.train_step(batch | {"strong_image": strong})["loss"])

    first = np.arange(B) < share * B
    assert loss(~first) == loss(np.full(B, False))
    assert share == 0 or loss(first) != loss(np.full(B, False))


def test_the_given_label_has_the_probability_that_the_noise_gives_it(rng):
    z, y = rng.normal(size=(6, 4)).astype(np.float32), np.array([0, 1, 2, 3, 3, 0])
    T = rng.dirichlet(np.ones(4), size=4).astype(np.float32)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    expected = -np.log((p @ T)[range(6), y])
    np.testing.assert_allclose(forward_cross_entropy(np.log(p), T.T[y]), expected, rtol=1e-5)


def test_the_loss_is_lowest_at_the_true_class_though_labels_are_noisy(rng):
    """Minimised over one distribution for many noisy labels of one class, it finds the class."""
    T = tf.constant(0.5 * np.eye(3, k=1) + 0.5 * np.eye(3) + 0.5 * np.eye(3, k=-2), tf.float32)
    y = rng.choice(3, p=T[0].numpy(), size=400)
    z = tf.Variable(tf.zeros([3]))
    for _ in range(300):
        with tf.GradientTape() as tape:
            log_p = tf.nn.log_softmax(tf.tile(z[None], [400, 1]))
            loss = tf.reduce_mean(forward_cross_entropy(log_p, tf.gather(tf.transpose(T), y)))
        z.assign_sub(2 * tape.gradient(loss, z))
    assert tf.nn.softmax(z)[0] > 0.9


def test_only_sure_guesses_count(rng):
    z = rng.normal(size=(3, 3)).astype(np.float32)
    q = np.float32([[0.1, 0.85, 0.05], [0.75, 0.25, 0], [0, 0, 1]])
    log_p = np.log(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))
    expected = [-log_p[0, 1], 0, -log_p[2, 2]]
    np.testing.assert_allclose(guess_cross_entropy(z, q), expected, rtol=1e-5)


def test_guesses_come_from_the_weak_view_and_averaged_weights_and_count_for_more_with_each_step():
    arrays = read_golden("step_supervised")
    method = golden_method("robust", arrays, turn_factor=0.0, max_iteration=4, ema_decay=0.0)
    batch = without_probe(arrays)
    batch["strong_image"] = tf.zeros_like(batch["image"])
    T_given = tf.gather(tf.transpose(method.transition()), batch["label"])
    half = len(arrays["y"]) // 2
    q = method.guesses(batch["image"][:half], T_given[:half])
    z = method.forward(batch["image"], method.averages, training=False)
    p = tf.nn.softmax(z).numpy() * T_given.numpy()
    np.testing.assert_allclose(q, (p / p.sum(axis=1, keepdims=True))[:half], rtol=1e-4)
    step, weights = tf.function(method.train_step), []
    for _ in range(3):
        weights.append(float(method.guess_weight()))
        step(batch)
    assert weights == [0, 0.25, 0.5]


@pytest.mark.parametrize("trusted", [0, 2])
def test_guesses_count_beside_trusted_images_only(trusted, monkeypatch):
    monkeypatch.setattr("trainer.methods.robust.SURE", 0.0)
    arrays = read_golden("step_supervised")
    method = golden_method("robust", arrays, turn_factor=0.0, max_iteration=4)
    batch = without_probe(arrays)
    batch |= {"probe_image": batch["image"][:trusted], "probe_label": batch["label"][:trusted]}
    step = tf.function(method.train_step)
    step(batch)
    assert (step(batch)["loss_guessed"] > 0) == (trusted > 0)


@pytest.mark.parametrize("kind", ["uniform", "pair"])
def test_the_noise_is_found_from_the_labels(kind, rng):
    """Of an image that the network knows, up to one in ten, the noise follows from its labels."""
    C, B = 5, 200
    T = (
        uniform_noise(0.4, C)
        if kind == "uniform"
        else 0.6 * np.eye(C) + 0.4 * np.roll(np.eye(C), 1, 1)
    )
    method = robust(C, steps_per_epoch=20)
    for _ in range(200):
        true = rng.integers(C, size=B)
        given = np.array([rng.choice(C, p=T[j]) for j in true])
        log_p = np.log(uniform_noise(0.1, C))[true].astype(np.float32)
        T_given = tf.gather(tf.transpose(method.transition()), given)
        method.learn_noise(tf.constant(given), tf.constant(log_p), T_given)
    np.testing.assert_allclose(method.transition(), T, atol=0.08)
    np.testing.assert_allclose(tf.reduce_sum(method.J), 1, atol=1e-5)


def test_noise_is_taken_for_uniform_where_labels_tell_little():
    """The network takes one class for another; how much of that T follows depends on the rate."""
    C, followed = 10, {}
    errors = np.eye(C)[[1, *range(1, C)]]
    for rate in (0.8, 0.3):
        method, T = robust(C), uniform_noise(rate, C)
        method.J.assign((0.7 * np.eye(C) + 0.3 * errors) @ T / C)
        given_that_wrong = method.transition()[0, 1] - rate / (C - 1)
        followed[rate] = given_that_wrong / (method.J[0, 1] * C - rate / (C - 1))
    assert followed[0.8] < 0.5 < 0.9 < followed[0.3]


@pytest.mark.parametrize("kind", ["asymmetric", "none"])
def test_the_predicted_class_sizes_are_compared_with_those_that_the_labels_tell(kind):
    T = {"asymmetric": np.float32([[0.6, 0.4, 0], [0, 1, 0], [0, 0, 1]]), "none": np.eye(3)}[kind]
    sizes = {"asymmetric": np.full(3, 1 / 3), "none": np.array([0.5, 0.3, 0.2])}[kind]
    method = robust(3)
    method.J.assign(sizes[:, None] * T)
    p = sizes + np.array([[0.1, -0.1, 0], [-0.1, 0.1, 0]])  # of two images, right on average
    assert abs(method.imbalance(np.log(p), tf.constant(T, tf.float32))) < 1e-5
    q = np.array([[0.6, 0.3, 0.1], [0.8, 0.1, 0.1]])
    expected = np.sum(sizes * np.log(sizes / q.mean(axis=0)))
    assert np.isclose(method.imbalance(np.log(q), tf.constant(T, tf.float32)), expected, rtol=1e-4)


def test_right_is_the_posterior_of_the_given_label(rng):
    method = robust(3)
    T = method.transition().numpy()
    p, y = rng.dirichlet(np.ones(3), size=4).astype(np.float32), np.array([0, 1, 2, 0])
    expected = p[range(4), y] * T[y, y] / (p @ T)[range(4), y]
    right = method.learn_noise(tf.constant(y), tf.math.log(p), tf.gather(tf.transpose(T), y))
    np.testing.assert_allclose(right, expected, rtol=1e-4)


@pytest.mark.parametrize(("shape", "quarters"), [((4, 4, 1), {0, 1, 2, 3}), ((4, 6, 1), {0, 2})])
def test_images_are_turned_as_said(shape, quarters, rng):
    images = rng.normal(size=(10, *shape)).astype(np.float32)
    x, turns = turned(tf.constant(images))
    assert set(turns.numpy()) == quarters
    back = [np.rot90(image, -k) for image, k in zip(x.numpy(), turns.numpy(), strict=True)]
    np.testing.assert_array_equal(back, images)


def test_the_second_head_tells_class_and_turn_together(rng):
    method = robust(3)
    features = tf.constant(rng.normal(size=(4, 64)), tf.float32)
    p = [np.exp(method.class_and_turn(features, np.full(4, r))) for r in range(4)]
    np.testing.assert_allclose(np.sum(p, axis=(0, 2)), 1, rtol=1e-5)
    each = np.exp(method.class_and_turn(features, np.arange(4)))
    np.testing.assert_allclose(each, np.stack(p)[np.arange(4), np.arange(4)], rtol=1e-5)


def test_turned_images_teach_class_and_turn(rng):
    """On ramps of two colours, which are the classes, the loss of turned images goes to zero."""
    arrays = read_golden("step_ieg")
    method = golden_method("robust", arrays, turn_factor=3.0)
    ramp = np.tile(np.linspace(-1, 1, 12)[None, :, None, None], (16, 1, 12, 3))
    y = np.arange(16) % 2
    ramp[y == 1, :, :, 0] = -1
    images = tf.constant(ramp + 0.1 * rng.normal(size=ramp.shape), tf.float32)
    batch = without_probe(arrays) | {"image": images, "strong_image": images}
    batch |= {"label": tf.constant(y), "id": tf.range(16, dtype=tf.int64) % len(arrays["y"])}
    step = tf.function(method.train_step)
    losses = [float(step(batch)["loss_turned"]) for _ in range(60)]
    assert losses[0] > 3 * np.log(20)
    assert losses[-1] < 0.25 * losses[0]


def robust(C, steps_per_epoch=1):
    config = TrainConfig(method="robust")
    return Robust(convnet.build((12, 12, 3), C), config, WEIGHT_DECAY, 10, steps_per_epoch)
