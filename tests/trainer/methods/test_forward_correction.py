import numpy as np
import pytest
import tensorflow as tf

from trainer.data.noise.transition import uniform_noise
from trainer.methods.forward_correction import (
    TransitionMatrix,
    class_prior_divergence,
    forward_cross_entropy,
    true_label_posterior,
)


def transition_matrix(C, em_rate=0.5):
    return TransitionMatrix(C, initial_noise_rate=0.5, prior=0.04, em_rate=em_rate)


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


def test_the_posterior_is_that_of_bayes(rng):
    T = transition_matrix(3).matrix().numpy()
    p, y = rng.dirichlet(np.ones(3), size=4).astype(np.float32), np.array([0, 1, 2, 0])
    expected = p * T[:, y].T
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(true_label_posterior(np.log(p), T.T[y]), expected, rtol=1e-4)


@pytest.mark.parametrize("kind", ["uniform", "pair"])
def test_em_finds_the_noise_from_the_labels(kind, rng):
    """Of an image that the network knows, up to one in ten, the noise follows from its labels."""
    C, B = 5, 200
    T = (
        uniform_noise(0.4, C)
        if kind == "uniform"
        else 0.6 * np.eye(C) + 0.4 * np.roll(np.eye(C), 1, 1)
    )
    noise = transition_matrix(C, em_rate=1 / 20)
    for _ in range(200):
        true = rng.integers(C, size=B)
        given = np.array([rng.choice(C, p=T[j]) for j in true])
        log_p = np.log(uniform_noise(0.1, C))[true].astype(np.float32)
        T_given = tf.gather(tf.transpose(noise.matrix()), given)
        noise.update(tf.constant(given), true_label_posterior(log_p, T_given))
    np.testing.assert_allclose(noise.matrix(), T, atol=0.08)
    np.testing.assert_allclose(tf.reduce_sum(noise.J), 1, atol=1e-5)


def test_noise_is_estimated_as_uniform_where_labels_are_uninformative():
    """The network takes one class for another; how much of that T follows depends on the rate."""
    C, followed = 10, {}
    errors = np.eye(C)[[1, *range(1, C)]]
    for rate in (0.8, 0.3):
        noise, T = transition_matrix(C), uniform_noise(rate, C)
        noise.J.assign((0.7 * np.eye(C) + 0.3 * errors) @ T / C)
        given_that_wrong = noise.matrix()[0, 1] - rate / (C - 1)
        followed[rate] = given_that_wrong / (noise.J[0, 1] * C - rate / (C - 1))
    assert followed[0.8] < 0.5 < 0.9 < followed[0.3]


@pytest.mark.parametrize("kind", ["asymmetric", "none"])
def test_the_mean_prediction_is_compared_with_the_class_prior_of_labels_and_noise(kind):
    T = {"asymmetric": np.float32([[0.6, 0.4, 0], [0, 1, 0], [0, 0, 1]]), "none": np.eye(3)}[kind]
    sizes = {"asymmetric": np.full(3, 1 / 3), "none": np.array([0.5, 0.3, 0.2])}[kind]
    noise = transition_matrix(3)
    noise.J.assign(sizes[:, None] * T)
    prior = noise.class_prior(tf.constant(T, tf.float32))
    np.testing.assert_allclose(prior, sizes, rtol=1e-5)
    p = sizes + np.array([[0.1, -0.1, 0], [-0.1, 0.1, 0]])  # of two images; their mean is correct
    assert abs(class_prior_divergence(prior, np.log(p))) < 1e-5
    q = np.array([[0.6, 0.3, 0.1], [0.8, 0.1, 0.1]])
    expected = np.sum(sizes * np.log(sizes / q.mean(axis=0)))
    assert np.isclose(class_prior_divergence(prior, np.log(q)), expected, rtol=1e-4)


def test_rounding_takes_no_probability_below_zero():
    """Where all labels are taken for right, the trace of J may come out a little above 1."""
    T = transition_matrix(10)
    T.J.assign(tf.eye(10) / 10 * (1 + 1e-6))
    assert float(tf.linalg.trace(T.J)) > 1
    found = T.matrix().numpy()
    assert (found > 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.diag(found), 1, rtol=1e-5)
