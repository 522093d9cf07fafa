import json

import numpy as np
import pytest

from trainer.data import records
from trainer.data.noise import class_maps, injection, noise_models
from trainer.data.noise.transition import realised_transition
from trainer.errors import InputError

N, C = 200_000, 10


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(7).integers(C, size=N)


@pytest.mark.parametrize("ratio", [0, 0.2, 0.9, 1])
def test_uniform_redraws_over_all_classes(labels, ratio):
    given, transition = noise_models.uniform(labels, C, ratio, np.random.default_rng(0))
    assert given.dtype == np.int32
    assert np.mean(given != labels) == pytest.approx(ratio * (C - 1) / C, abs=0.005)
    assert_realised(labels, given, transition)


@pytest.mark.parametrize("ratio", [0, 0.4, 1])
def test_asymmetric_flips_along_the_map(labels, ratio):
    class_map = {2: 7, 3: 8, 7: 1}
    given, transition = noise_models.asymmetric(
        labels, C, ratio, np.random.default_rng(0), class_map
    )
    assert_realised(labels, given, transition)
    for c in range(C):
        others = set(given[labels == c]) - {c}
        assert others <= {class_map.get(c)}


def test_pair_flips_to_the_next_class(labels):
    given, transition = noise_models.pair(labels, C, 0.4, np.random.default_rng(0))
    assert_realised(labels, given, transition)
    assert set(given - labels) == {0, 1, 1 - C}


@pytest.mark.parametrize("ratio", [0, 0.5, 1])
def test_any_matrix(labels, ratio):
    wanted = np.random.default_rng(1).dirichlet(np.ones(C), C)
    given, transition = noise_models.matrix(labels, C, ratio, np.random.default_rng(0), wanted)
    assert_realised(labels, given, transition)
    np.testing.assert_allclose(transition, (1 - ratio) * np.eye(C) + ratio * wanted)


def test_instance_noise_depends_on_the_image():
    labels, rng = np.repeat(np.arange(4), 2000), np.random.default_rng(0)
    features = np.repeat(rng.random((8, 30)), 1000, axis=0)  # two images of each class
    given, transition = noise_models.instance(labels, 4, 0.4, rng, features)
    assert np.mean(given != labels) == pytest.approx(0.4, abs=0.02)
    np.testing.assert_allclose(transition.sum(axis=1), 1)
    np.testing.assert_allclose(realised_transition(labels, given, 4), transition, atol=0.03)
    by_image = [np.bincount(given[i * 1000 : (i + 1) * 1000], minlength=4) for i in range(8)]
    differences = [np.abs(by_image[2 * c] - by_image[2 * c + 1]).sum() / 1000 for c in range(4)]
    assert max(differences) > 0.3


def test_cifar100_flips_stay_in_the_superclass():
    class_map = class_maps.ASYMMETRIC_MAPS["cifar100"]
    assert sorted(class_map) == sorted(class_map.values()) == list(range(100))
    superclass = class_maps.CIFAR100_SUPERCLASS
    assert all(superclass[a] == superclass[b] and a != b for a, b in class_map.items())
    assert np.all(np.bincount(superclass) == 5)
    # beaver, dolphin, otter, seal, whale: the aquatic mammals, each flipped to the next
    assert [class_map[c] for c in (4, 30, 55, 72, 95)] == [30, 55, 72, 95, 4]


def assert_realised(labels, given, transition):
    """The matrix is a transition matrix, and what was drawn follows it."""
    np.testing.assert_allclose(transition.sum(axis=1), 1)
    counts = np.zeros((C, C))
    np.add.at(counts, (labels, given), 1)
    np.testing.assert_allclose(counts / counts.sum(axis=1, keepdims=True), transition, atol=0.02)


def test_artifact(digits, tmp_path):
    written = injection.inject(digits, tmp_path / "a", "uniform", 0.9, seed=3)
    clean = records.read_labels(digits, "train")
    given = np.load(tmp_path / "a" / "labels.npy")
    assert given.shape == clean.shape
    assert written["wrong_labels"] == np.mean(given != clean)
    assert np.load(tmp_path / "a" / "transition.npy").shape == (10, 10)
    on_disk = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert on_disk == json.loads(json.dumps(written))
    assert (on_disk["noise"], on_disk["noise_ratio"], on_disk["seed"]) == ("uniform", 0.9, 3)


def test_kinds_that_come_from_files(digits, tmp_path):
    clean = records.read_labels(digits, "train")
    (tmp_path / "map.json").write_text('{"1": "7", "3": "8"}')
    injection.inject(digits, tmp_path / "a", "asymmetric", 1, 0, str(tmp_path / "map.json"))
    given = np.load(tmp_path / "a" / "labels.npy")
    expected = np.where(clean == 1, 7, np.where(clean == 3, 8, clean))
    np.testing.assert_array_equal(given, expected)
    np.savetxt(tmp_path / "matrix.csv", np.eye(10)[::-1], delimiter=",")
    injection.inject(digits, tmp_path / "b", "matrix", 1, 0, str(tmp_path / "matrix.csv"))
    np.testing.assert_array_equal(np.load(tmp_path / "b" / "labels.npy"), 9 - clean)
    np.testing.assert_array_equal(np.load(tmp_path / "b" / "realised.npy"), np.eye(10)[::-1])


def matrix_of(names, down=True, across=True):
    """A matrix in which class i becomes i + 1, with classes and their names in this order."""
    names = list(names)
    rows = [
        [*([a] if down else []), *(str(int(a != "ten" and b == (int(a) + 1) % 10)) for b in names)]
        for a in names
    ]
    header = [["true", *names] if down else names] if across else []
    return "".join(",".join(map(str, row)) + "\n" for row in [*header, *rows])


@pytest.mark.parametrize("sides", [{}, {"down": False}, {"across": False}])
def test_class_names_order_a_matrix(digits, tmp_path, sides):
    (tmp_path / "matrix.csv").write_text(matrix_of([3, 1, 4, 0, 5, 9, 2, 6, 8, 7], **sides))
    injection.inject(digits, tmp_path / "a", "matrix", 1, 0, str(tmp_path / "matrix.csv"))
    clean = records.read_labels(digits, "train")
    np.testing.assert_array_equal(np.load(tmp_path / "a" / "labels.npy"), (clean + 1) % 10)


def test_a_matrix_without_names_is_in_class_order(digits, tmp_path, capsys):
    (tmp_path / "matrix.csv").write_text(matrix_of(range(10), down=False, across=False))
    injection.inject(digits, tmp_path / "a", "matrix", 1, 0, str(tmp_path / "matrix.csv"))
    clean = records.read_labels(digits, "train")
    np.testing.assert_array_equal(np.load(tmp_path / "a" / "labels.npy"), (clean + 1) % 10)
    assert "columns are in class order, 0, 1, 2, 3, 4," in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("asymmetric", '{"1": "cat"}', "--noise_file: must be a JSON map from class names"),
        ("asymmetric", "1,7", "--noise_file: must be a JSON map from class names"),
        ("matrix", "1,0", "--noise_file: must have 10 rows of 10 probabilities that sum to 1"),
        ("asymmetric", "[" * 100_000, "--noise_file: must be a JSON map from class names"),
        ("matrix", "0" * 200_000, "--noise_file: must be a CSV file of numbers"),
        ("matrix", "a,b", "--noise_file: must have 10 rows of 10"),
        ("matrix", None, "--noise_file: must be a CSV file of numbers"),
        ("matrix", matrix_of(range(10))[:-2] + "1.5\n", "with sums"),
        (
            "matrix",
            matrix_of([*range(9), "ten"]),
            "must name each class once; missing: 9.*with ten",
        ),
        ("matrix", matrix_of([*range(9), 8]), "must name each class once; missing: 9.*repetitions"),
    ],
)
def test_files_that_do_not_fit(digits, tmp_path, kind, content, message):
    if content:
        (tmp_path / "file").write_text(content)
    with pytest.raises(InputError, match=message):
        injection.inject(digits, tmp_path / "a", kind, 0.5, 0, str(tmp_path / "file"))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("kind", ["uniform", "instance"])
def test_the_same_seed_gives_the_same_labels(digits, tmp_path, kind):
    ids = [
        injection.inject(digits, tmp_path / str(i), kind, 0.5, seed)["id"]
        for i, seed in enumerate((1, 1, 2))
    ]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("kind", "ratio", "message"),
    [
        ("unifrom", 0.5, "--noise: must be one of none, uniform, asymmetric, pair"),
        ("uniform", 1.1, "--noise_ratio: must be 1 or less. Received: 1.1"),
        ("uniform", -0.1, "--noise_ratio: must be 0 or more"),
        ("uniform", float("nan"), "--noise_ratio: must be 0 or more"),
    ],
)
def test_wrong_input_leaves_nothing_behind(digits, tmp_path, kind, ratio, message):
    with pytest.raises(InputError, match=message):
        injection.inject(digits, tmp_path / "a", kind, ratio, seed=0)
    assert not (tmp_path / "a").exists()


def test_labels_of_another_dataset_are_refused(digits, noisy_labels, tmp_path):
    dataset = records.read_manifest(digits)
    assert len(injection.read_noisy_labels(noisy_labels, dataset)[0]) == 1437
    with pytest.raises(InputError, match="noisy_labels: must be made from the prepared_dataset"):
        injection.read_noisy_labels(noisy_labels, dataset | {"id": "0" * 64})
    with pytest.raises(InputError, match="must be of kind noisy_labels"):
        injection.read_noisy_labels(digits, dataset)
