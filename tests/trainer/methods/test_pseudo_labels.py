import numpy as np

from trainer.methods.pseudo_labels import pseudo_label_cross_entropy


def test_only_confident_pseudo_labels_count(rng):
    z = rng.normal(size=(3, 3)).astype(np.float32)
    q = np.float32([[0.1, 0.85, 0.05], [0.75, 0.25, 0], [0, 0, 1]])
    log_p = np.log(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))
    expected = [-log_p[0, 1], 0, -log_p[2, 2]]
    np.testing.assert_allclose(pseudo_label_cross_entropy(z, q, 0.8), expected, rtol=1e-5)
