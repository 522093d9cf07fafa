import json

import numpy as np
import pytest

from trainer.data import noise, records
from trainer.errors import InputError

N, C = 200_000, 10


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(7).integers(C, size=N)


@pytest.mark.parametrize("ratio", [0, 0.2, 0.9, 1])
def test_uniform_redraws_over_all_classes(labels, ratio):
    given, transition = noise.uniform(labels, C, ratio, np.random.default_rng(0))
    assert given.dtype == np.int32
    assert np.mean(given != labels) == pytest.approx(ratio * (C - 1) / C, abs=0.005)
    assert_realised(labels, given, transition)


@pytest.mark.parametrize("ratio", [0, 0.4, 1])
def test_asymmetric_flips_along_the_map(labels, ratio):
    class_map = {2: 7, 3: 8, 7: 1}
    given, transition = noise.asymmetric(labels, C, ratio, np.random.default_rng(0), class_map)
    assert_realised(labels, given, transition)
    for c in range(C):
        others = set(given[labels == c]) - {c}
        assert others <= {class_map.get(c)}


def test_cifar100_flips_stay_in_the_superclass():
    class_map = noise.ASYMMETRIC_MAPS["cifar100"]
    assert sorted(class_map) == sorted(class_map.values()) == list(range(100))
    superclass = noise.CIFAR100_SUPERCLASS
    assert all(superclass[a] == superclass[b] and a != b for a, b in class_map.items())
    assert np.all(np.bincount(superclass) == 5)
    # beaver, dolphin, otter, seal, whale: the aquatic mammals, each taken for the next
    assert [class_map[c] for c in (4, 30, 55, 72, 95)] == [30, 55, 72, 95, 4]


def assert_realised(labels, given, transition):
    """The matrix is a transition matrix, and what was drawn follows it."""
    np.testing.assert_allclose(transition.sum(axis=1), 1)
    counts = np.zeros((C, C))
    np.add.at(counts, (labels, given), 1)
    np.testing.assert_allclose(counts / counts.sum(axis=1, keepdims=True), transition, atol=0.02)


def test_artifact(digits, tmp_path):
    written = noise.inject(digits, tmp_path / "a", "uniform", 0.9, seed=3)
    clean = records.read_labels(digits, "train")
    given = np.load(tmp_path / "a" / "labels.npy")
    assert given.shape == clean.shape
    assert written["wrong_labels"] == np.mean(given != clean)
    assert np.load(tmp_path / "a" / "transition.npy").shape == (10, 10)
    on_disk = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert on_disk == json.loads(json.dumps(written))
    assert (on_disk["noise"], on_disk["noise_ratio"], on_disk["seed"]) == ("uniform", 0.9, 3)


def test_the_same_seed_gives_the_same_labels(digits, tmp_path):
    ids = [
        noise.inject(digits, tmp_path / str(i), "uniform", 0.5, seed)["id"]
        for i, seed in enumerate((1, 1, 2))
    ]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("kind", "ratio", "message"),
    [
        ("unifrom", 0.5, "--noise: must be one of none, uniform, asymmetric. Received: 'unifrom'"),
        ("uniform", 1.1, "--noise_ratio: must be 1 or less. Received: 1.1"),
        ("uniform", -0.1, "--noise_ratio: must be 0 or more"),
        ("uniform", float("nan"), "--noise_ratio: must be 0 or more"),
    ],
)
def test_wrong_input_leaves_nothing_behind(digits, tmp_path, kind, ratio, message):
    with pytest.raises(InputError, match=message):
        noise.inject(digits, tmp_path / "a", kind, ratio, seed=0)
    assert not (tmp_path / "a").exists()


def test_labels_of_another_dataset_are_refused(digits, noisy_labels, tmp_path):
    dataset = records.read_manifest(digits)
    assert len(noise.read(noisy_labels, dataset)[0]) == 1437
    with pytest.raises(InputError, match="noisy_labels: must be made from the prepared_dataset"):
        noise.read(noisy_labels, dataset | {"id": "0" * 64})
    with pytest.raises(InputError, match="must be of kind noisy_labels"):
        noise.read(digits, dataset)
