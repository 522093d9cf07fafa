import dataclasses
from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from trainer.data import input_pipeline, probe, records, sources, views
from trainer.data.augmentation import augment
from trainer.data.noise import injection
from trainer.errors import InputError
from trainer.methods import FSR, IEG, L2R, Supervised
from trainer.settings.data import DataSettings
from trainer.training import configuration

SETTINGS = configuration.resolve("digits", seed=3, crop_padding=0)
QUEUE = configuration.resolve("digits", method="fsr", seed=3, crop_padding=0)


@pytest.fixture(scope="module")
def data(digits, noisy_labels, probe_split):
    return input_pipeline.load_training_data(digits, noisy_labels, probe_split, SETTINGS)


def take(data, method, count, first_step=0, settings=SETTINGS):
    batches = input_pipeline.training_batches(data, settings, method, first_step)
    return list(batches.take(count).as_numpy_iterator())


def test_training_sees_given_labels_and_clean_ones_of_the_probe(data, digits, noisy_labels):
    clean, given = records.read_labels(digits, "train"), np.load(noisy_labels / "labels.npy")
    assert len(data.labels) == 1337
    np.testing.assert_array_equal(data.probe_labels, np.tile(np.arange(10), 10))
    wrong = np.mean(given != clean)
    by_image = {image.tobytes(): y for image, y in zip(records.read_images(digits, "train"), clean)}
    truth = np.array([by_image[image.tobytes()] for image in data.images.images.args[0].numpy()])
    assert np.mean(truth != data.labels) == pytest.approx(wrong, abs=0.02)
    truth = np.array(
        [by_image[image.tobytes()] for image in data.probe_images.images.args[0].numpy()]
    )
    np.testing.assert_array_equal(truth, data.probe_labels)


def test_what_a_method_does_not_use_is_not_made(data):
    assert set(take(data, Supervised, 1)[0]) == {"id", "image", "label"}
    assert set(take(data, L2R, 1)[0]) == {"id", "image", "label", "probe_image", "probe_label"}
    (batch,) = take(data, IEG, 1)
    assert {name: value.shape for name, value in batch.items()} == {
        "id": (100,),
        "image": (100, 8, 8, 1),
        "label": (100,),
        "strong_image": (100, 8, 8, 1),
        "probe_image": (100, 8, 8, 1),
        "probe_label": (100,),
        "mix_uniform": (300,),
        "mix_permutation": (300,),
        "probe_draw": (100,),
    }
    mixed = {"mix_uniform", "mix_permutation", "queue_slot"}
    assert set(take(data, FSR, 1, settings=QUEUE)[0]) == {"id", "image", "label"} | mixed
    np.testing.assert_array_equal(np.sort(batch["mix_permutation"]), np.arange(300))
    assert 0 <= batch["probe_draw"].min() <= batch["probe_draw"].max() < 100


def test_a_batch_follows_from_seed_and_step(data):
    whole, rest = take(data, IEG, 20), take(data, IEG, 5, first_step=15)
    for a, b in zip(whole[15:], rest, strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
    other = take(data, IEG, 1, settings=dataclasses.replace(SETTINGS, seed=4))[0]
    assert not np.array_equal(other["label"], whole[0]["label"])
    assert not np.array_equal(whole[0]["mix_uniform"], whole[1]["mix_uniform"])


def test_two_replicas_share_what_one_sees(data):
    """Together, batches of two replicas are those of one, in order; also split over two workers."""
    alone = take(data, IEG, 8)
    for workers in ([range(2)], [range(1), range(1, 2)]):
        made = [
            list(
                input_pipeline.training_batches(data, SETTINGS, IEG, 1, mine, 2)
                .take(3 * len(mine))
                .as_numpy_iterator()
            )
            for mine in workers
        ]
        together = made[0] if len(workers) == 1 else [b for pair in zip(*made) for b in pair]
        for a, b in zip(alone[2:], together, strict=True):
            for name in a:
                np.testing.assert_array_equal(a[name], b[name])


def test_an_epoch_shows_each_example_once_with_its_label(data):
    scaled = augment.scale(data.images.images.args[0]).numpy()
    labels = {image.tobytes(): y for image, y in zip(scaled, data.labels, strict=True)}
    first, second = take(data, Supervised, 13), take(data, Supervised, 13, first_step=13)
    orders = []
    for epoch in (first, second):
        images = [image.tobytes() for batch in epoch for image in batch["image"]]
        given = np.concatenate([batch["label"] for batch in epoch])
        assert len(set(images)) == 1300
        np.testing.assert_array_equal(
            np.concatenate([scaled[batch["id"]] for batch in epoch]),
            np.concatenate([batch["image"] for batch in epoch]),
        )
        assert [labels[image] for image in images] == list(given)
        orders.append(images)
    assert orders[0] != orders[1]


def test_probe_batches_are_balanced_and_go_round(data):
    settings = dataclasses.replace(SETTINGS, batch_size=30)
    labels = [batch["probe_label"] for batch in take(data, L2R, 7, settings=settings)]
    np.testing.assert_array_equal(np.concatenate(labels), np.tile(np.arange(10), 21))


def test_slots_of_the_queue_are_balanced_and_differ(data):
    first, second = (batch["queue_slot"] for batch in take(data, FSR, 2, settings=QUEUE))
    for slots in (first, second):
        np.testing.assert_array_equal(slots // 50, np.repeat(np.arange(10), 10))
        assert len(set(slots)) == 100
    assert set(first) != set(second)


@pytest.mark.parametrize("aug_type", ["autoaug", "randaug", "affine", "default"])
def test_every_kind_of_strong_view(data, aug_type):
    rng = np.random.default_rng(0)
    settings = dataclasses.replace(SETTINGS, aug_type=aug_type, crop_padding=2)
    images = rng.integers(256, size=(1337, 32, 32, 3)).astype(np.uint8)
    coloured = dataclasses.replace(
        data,
        images=views.WholeImages(partial(tf.gather, images), settings),
        probe_images=views.WholeImages(partial(tf.gather, images[:100]), settings),
    )
    (batch,) = take(coloured, IEG, 1, settings=settings)
    assert batch["strong_image"].shape == batch["image"].shape
    assert np.abs(batch["strong_image"]).max() <= 1
    assert np.mean(batch["strong_image"] != batch["image"]) > 0.3
    again = take(coloured, IEG, 1, settings=settings)[0]
    np.testing.assert_array_equal(again["strong_image"], batch["strong_image"])


def test_images_that_do_not_fit_are_decoded_for_each_batch(digits, noisy_labels, probe_split):
    batches = []
    for size in (8.0, 1e-5):
        settings = dataclasses.replace(SETTINGS, image_cache_gb=size)
        data = input_pipeline.load_training_data(digits, noisy_labels, probe_split, settings)
        assert isinstance(data.images.images, partial) == (size == 8)
        assert len(data.labels) == 1337
        batches.append(take(data, IEG, 3, settings=settings))
    for kept, streamed in zip(*batches, strict=True):
        for name, values in kept.items():
            np.testing.assert_array_equal(values, streamed[name])


def test_images_are_not_in_the_graph(data):
    """A constant in the function that makes batches would be copied into every saved graph."""
    (kept,) = data.images.images.args
    images = tf.tile(kept, (40, 1, 1, 1))
    many = dataclasses.replace(
        data,
        images=views.WholeImages(partial(tf.gather, images), SETTINGS),
        labels=np.tile(data.labels, 40),
    )

    def graph_size(data):
        mapped = input_pipeline.training_batches(data, SETTINGS, IEG)._input_dataset
        (make_batch,) = mapped._functions()
        return make_batch.function.graph.as_graph_def().ByteSize()

    assert images.numpy().nbytes > 3_000_000
    assert graph_size(many) == pytest.approx(graph_size(data), abs=200)


def test_a_batch_larger_than_the_training_set(data):
    with pytest.raises(
        InputError, match=r"--batch_size: times 1 replicas must be at most 1337 .*\. Received: 1338"
    ):
        take(data, Supervised, 1, settings=dataclasses.replace(SETTINGS, batch_size=1338))


def test_a_run_takes_the_largest_batch_that_there_is(data):
    large = dataclasses.replace(SETTINGS, batch_size=1338)
    assert input_pipeline.fit_batch_size(data, large).batch_size == 1337
    assert input_pipeline.fit_batch_size(data, large, replicas=2).batch_size == 668
    assert input_pipeline.fit_batch_size(data, SETTINGS) == SETTINGS


def test_artifacts_of_different_datasets_are_refused(digits, noisy_labels, tmp_path, monkeypatch):
    def fewer():
        source = sources.SOURCES["digits"].load(DataSettings())
        return dataclasses.replace(
            source, splits={name: list(pairs)[:200] for name, pairs in source.splits.items()}
        )

    monkeypatch.setattr(sources, "load", lambda *_: fewer())
    records.prepare("digits", tmp_path / "fewer")
    probe.split(tmp_path / "fewer", tmp_path / "probe", per_class=5, seed=0)
    with pytest.raises(InputError, match="noisy_labels: must be made from"):
        input_pipeline.load_training_data(
            tmp_path / "fewer", noisy_labels, tmp_path / "probe", SETTINGS
        )
    with pytest.raises(InputError, match="probe_split: must be made from"):
        input_pipeline.load_training_data(digits, noisy_labels, tmp_path / "probe", SETTINGS)
    injection.inject(tmp_path / "fewer", tmp_path / "noise", "uniform", 0.5, seed=0)
    loaded = input_pipeline.load_training_data(
        tmp_path / "fewer", tmp_path / "noise", tmp_path / "probe", SETTINGS
    )
    assert len(loaded.labels) == 150
