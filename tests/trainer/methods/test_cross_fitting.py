import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

from trainer.data.noise.transition import uniform_noise
from trainer.methods import cross_fitting

C, D, N, M = 4, 12, 600, 40


def drawn(rng, T, n=N):
    """Embeddings around class means, true labels, and labels given by T."""
    means = rng.normal(size=(C, D)) * 0.8
    true = np.arange(n + M) % C
    x = means[true] + rng.normal(size=(n + M, D))
    given = np.array([rng.choice(C, p=T[j]) for j in true])
    return x[:n], given[:n], true[:n], x[n:], true[n:]


def asymmetric(rate):
    """Class 0 is given as 1, class 2 as 3; the others are right."""
    T = np.eye(C)
    T[[0, 2], [0, 2]], T[[0, 2], [1, 3]] = 1 - rate, rate
    return T


@pytest.mark.parametrize("T", [uniform_noise(0.5, C), asymmetric(0.4), np.eye(C)], ids=str)
def test_finds_the_transition_matrix_and_the_true_labels(rng, T):
    x, given, true, trusted, trusted_labels = drawn(rng, T)
    found = cross_fitting.cross_fit(x, given, trusted, trusted_labels, C)
    rate = 1 - found.posterior[np.arange(N), given].mean()
    assert rate == pytest.approx(np.mean(given != true), abs=0.07)
    np.testing.assert_allclose(found.transition, T, atol=0.15)
    right = np.mean(found.posterior.argmax(axis=1) == true)
    assert right > max(0.8, np.mean(given == true) - 0.02)
    np.testing.assert_allclose(found.joint.sum(axis=0), np.bincount(given) / N)


def test_predictions_are_out_of_fold(rng):
    """A label says nothing on the prediction of its own example, apart from T."""
    x, given, _, *trusted = drawn(rng, uniform_noise(0.3, C), n=200)
    x = rng.normal(size=x.shape)  # nothing to learn, and as many numbers as a fold could memorise
    found = cross_fitting.cross_fit(
        np.tile(x, (1, 8)), given, np.tile(trusted[0], (1, 8)), trusted[1], C
    )
    assert np.mean(found.probabilities.argmax(axis=1) == given) < 0.45


def test_works_without_trusted_examples_and_repeats(rng):
    x, given, true, trusted, _ = drawn(rng, uniform_noise(0.4, C))
    none = trusted[:0], np.zeros(0, int)
    found, again = (cross_fitting.cross_fit(x, given, *none, C, seed=3) for _ in range(2))
    assert np.mean(found.posterior.argmax(axis=1) == true) > 0.75
    np.testing.assert_array_equal(found.posterior, again.posterior)


def test_finds_few_wrong_labels_of_a_rare_class(rng):
    x = rng.normal(size=(260, D)) + 2.0 * (np.arange(260) < 20)[:, None]
    true = (np.arange(260) < 20).astype(int)
    given = true.copy()
    given[[0, 1, 2, 3, 50, 60, 70, 80, 90, 100]] ^= 1
    trusted = rng.normal(size=(20, D)) + 2.0 * (np.arange(20) < 10)[:, None]
    found = cross_fitting.cross_fit(x, given, trusted, (np.arange(20) < 10).astype(int), 2)
    worst = np.argsort(found.posterior[np.arange(260), given])[:12]
    assert np.sum(given[worst] != true[worst]) >= 8


def test_groups_are_spread_evenly():
    groups = np.repeat([0, 1, 2], [50, 11, 3])
    fold = cross_fitting.folds(groups, seed=0)
    counts = np.array(
        [np.bincount(fold[groups == g], minlength=cross_fitting.FOLDS) for g in range(3)]
    )
    assert np.all(np.ptp(counts, axis=1) <= 1)


def test_gradient_of_the_linear_model(rng):
    """L-BFGS ends where the loss has no slope: a step to any side is worse."""
    x, given, *_ = drawn(rng, uniform_noise(0.3, C), n=200)
    L = uniform_noise(0.3, C)[:, given].T

    def loss(w):
        z = x @ w[:-1] + w[-1]
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        return -np.log((p * L).sum(axis=1)).mean() + 0.1 / 2 * np.sum(w[:-1] ** 2)

    w = cross_fitting.fit(x.astype(np.float32), L, 0.1)
    for _ in range(20):
        step = rng.normal(size=w.shape)
        assert loss(w) < loss(w + 0.03 * step)


def test_losses_are_those_of_log_probabilities(rng):
    z, y, T = 30 * rng.normal(size=(50, C)), rng.integers(C, size=50), uniform_noise(0.3, C)
    z -= z.max(axis=1, keepdims=True)
    log_p, likelihood, one_hot = log_softmax(z, axis=1), T[:, y].T, np.eye(C)[y]
    through = -logsumexp(log_p + np.log(likelihood), axis=1).mean()
    assert cross_fitting.loss_through(z, likelihood) == pytest.approx(through)
    assert cross_fitting.cross_entropy(one_hot, z) == pytest.approx(-np.sum(one_hot * log_p))


def test_the_components_with_the_most_variance_are_kept(rng, monkeypatch):
    x = rng.normal(size=(60, 6)) @ rng.normal(size=(6, 6)) + 5
    variances = np.linalg.eigvalsh(np.corrcoef(x.T))
    for kept in (3, 6):
        monkeypatch.setattr(cross_fitting, "MOST_FEATURES", kept)
        found = cross_fitting.principal_components(x)
        np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
        np.testing.assert_allclose(found.var(axis=0), variances[-kept:], atol=1e-3)
