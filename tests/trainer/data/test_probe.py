import numpy as np
import pytest

from tests.image_files import CLASSES, write_images
from trainer.data import probe, records
from trainer.errors import InputError
from trainer.settings.data import DataSettings
from trainer.training import configuration


def test_artifact_is_balanced_interleaved_and_out_of_training(digits, tmp_path):
    probe.split(digits, tmp_path / "a", per_class=7, seed=0)
    ids, train_ids, _ = probe.read_split(tmp_path / "a", records.read_manifest(digits))
    labels = records.read_labels(digits, "train")
    assert ids.dtype == np.int64
    np.testing.assert_array_equal(labels[ids], np.tile(np.arange(10), 7))
    assert len(set(ids)) == 70
    np.testing.assert_array_equal(np.sort(np.concatenate([ids, train_ids])), np.arange(1437))


def test_the_same_seed_gives_the_same_split(digits, tmp_path):
    made = [
        probe.split(digits, tmp_path / str(i), per_class=10, seed=seed)["id"]
        for i, seed in enumerate((1, 1, 2))
    ]
    assert made[0] == made[1] != made[2]


def test_every_example_of_a_class_can_be_chosen():
    labels = np.array([0, 1, 0, 1, 1])
    chosen = {
        tuple(sorted(probe.choose(labels, "ab", 1, np.random.default_rng(seed))))
        for seed in range(99)
    }
    assert chosen == {tuple(sorted((a, b))) for a in (0, 2) for b in (1, 3, 4)}


def test_uneven_classes():
    labels = np.array([2, 0, 0, 1, 2, 0, 1, 2, 2])
    ids = probe.choose(labels, "abc", 2, np.random.default_rng(0))
    np.testing.assert_array_equal(labels[ids], [0, 1, 2, 0, 1, 2])


def test_classes_that_are_too_small_are_named(digits, tmp_path):
    message = r"--probe_per_class: .*class 8 has 139\. Received: 140"
    with pytest.raises(InputError, match=message):
        probe.split(digits, tmp_path / "a", per_class=140, seed=0)
    assert not (tmp_path / "a").exists()


def test_a_share_of_the_training_examples(digits, tmp_path):
    made = probe.split(digits, tmp_path / "a", per_class=10, seed=0, hold_ratio=0.02)
    assert (made["per_class"], made["hold_ratio"]) == (2, 0.02)
    ids, _, _ = probe.read_split(tmp_path / "a", records.read_manifest(digits))
    assert len(ids) == 20
    message = "--probe_dataset_hold_ratio: must leave one of 1437 examples or more to each of 10"
    with pytest.raises(InputError, match=message):
        probe.split(digits, tmp_path / "b", per_class=10, seed=0, hold_ratio=0.006)


def test_no_probe_at_all(digits, tmp_path):
    probe.split(digits, tmp_path / "a", per_class=0, seed=0)
    ids, train_ids, _ = probe.read_split(tmp_path / "a", records.read_manifest(digits))
    assert (len(ids), len(train_ids)) == (0, 1437)


def test_a_probe_where_nothing_is_trusted():
    none = np.array([], int)
    assert len(probe.choose(none, "abc", 0, np.random.default_rng(0))) == 0
    with pytest.raises(InputError, match=r"--probe_per_class: must be 0 without trusted images"):
        probe.choose(none, "abc", 1, np.random.default_rng(0))


@pytest.mark.parametrize(("per_class", "calibrating"), [(2, 2), (4, 0), (0, 4)])
def test_trusted_examples_beyond_the_probe_are_neither_noisy_nor_probe(
    tmp_path, per_class, calibrating
):
    trusted = write_images(tmp_path / "trusted", 4, seed=1)
    more = write_images(tmp_path / "more", 3, seed=3) / CLASSES[0]
    for file in more.iterdir():  # of one class more than of the other
        file.rename(trusted / CLASSES[0] / f"more {file.name}")
    settings = DataSettings(data=write_images(tmp_path / "images", 20), trusted=trusted)
    dataset = records.prepare("image_folder", tmp_path / "a", settings)
    probe.split(tmp_path / "a", tmp_path / "probe", per_class, seed=0)
    ids, train_ids, _ = probe.read_split(tmp_path / "probe", dataset)
    assert (len(ids), len(train_ids)) == (2 * per_class, 32)
    assert not set(train_ids) & set(records.read_trusted_ids(tmp_path / "a"))

    class Method:
        uses_probe, config = True, configuration.resolve("image_folder")
        probe_size = staticmethod(lambda config: config.batch_size)

    kept = probe.held_out(tmp_path / "probe", dataset, Method)
    labels = records.read_clean_labels(tmp_path / "a")
    np.testing.assert_array_equal(np.bincount(labels[kept], minlength=2), [calibrating] * 2)
    assert not set(kept) & {*ids, *train_ids}


def test_what_is_known_but_not_trusted_stays_in_training(digits, tmp_path):
    probe.split(digits, tmp_path / "a", per_class=10, seed=0)
    ids, train_ids, _ = probe.read_split(tmp_path / "a", records.read_manifest(digits))
    assert len(ids) + len(train_ids) == 1437
