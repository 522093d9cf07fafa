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
from trainer.errors import InputError
from trainer.methods import METHODS
from trainer.training import configuration

OFF = {"rotation_weight": 0.0, "pseudo_label_weight": 0.0, "class_prior_weight": 0.0}


def without_probe(arrays, strong=0.5):
    """The golden batch of supervised, with which the strong view is the weak one."""
    batch = golden_batch(arrays)
    empty = {"probe_image": batch["image"][:0], "probe_label": batch["label"][:0]}
    return batch | {"strong_image": batch["image"][: round(strong * len(arrays["y"]))]} | empty


def test_without_its_losses_it_is_the_golden_supervised_step():
    arrays = read_golden("step_supervised")
    method = golden_method("robust", arrays, trusted_fraction=0.0, forward_correction=False, **OFF)
    logs = tf.function(method.train_step)(without_probe(arrays))
    assert_close(logs["loss"], arrays["total_loss"])
    assert_state_after_step(method, arrays, average_after_update=False)


def test_the_loss_is_the_sum_of_its_named_parts_and_the_regulariser():
    arrays = read_golden("step_supervised")
    method = golden_method("robust", arrays, max_iteration=4)
    batch = without_probe(arrays)
    batch |= {"probe_image": batch["image"][:2], "probe_label": batch["label"][:2]}
    step = tf.function(method.train_step)
    step(batch)
    R, logs = method.regulariser(), step(batch)
    parts = [logs[name] for name in method.scalars if name.startswith("loss_")]
    assert len(parts) == 5
    assert_close(logs["loss"], sum(parts) + R)


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_the_first_part_of_the_batch_is_seen_in_the_strong_view_alone(fraction):
    arrays = read_golden("step_supervised")
    batch, B = without_probe(arrays, strong=fraction), len(arrays["y"])

    def loss(name, rows):
        method = golden_method("robust", arrays, rotation_weight=0.0)
        changed = np.isin(np.arange(len(batch[name])), rows)
        images = tf.where(changed[:, None, None, None], -1.0, batch[name])
        return float(method.train_step(batch | {name: images})["loss"])

    first, rest = np.arange(B)[: round(fraction * B)], np.arange(B)[round(fraction * B) :]
    assert loss("image", first) == loss("image", [])
    assert fraction == 0 or loss("strong_image", first) != loss("image", [])
    assert fraction == 1 or loss("image", rest) != loss("image", [])


def test_pseudo_labels_come_from_the_weak_view_and_ema_weights_and_their_weight_grows():
    arrays = read_golden("step_supervised")
    method = golden_method("robust", arrays, rotation_weight=0.0, max_iteration=4, ema_decay=0.0)
    batch = without_probe(arrays)
    T_given = tf.gather(tf.transpose(method.noise.matrix()), batch["label"])
    half = len(arrays["y"]) // 2
    q = method.ema_posterior(batch["image"][:half], T_given[:half])
    z = method.forward(batch["image"], method.ema, training=False)
    p = tf.nn.softmax(z).numpy() * T_given.numpy()
    np.testing.assert_allclose(q, (p / p.sum(axis=1, keepdims=True))[:half], rtol=1e-4)
    losses = []
    for step in range(3):
        method.optimizer.iterations.assign(step)
        losses.append(float(method.pseudo_label_loss(z[:half], tf.round(q + 0.4))))
    np.testing.assert_allclose(losses, [0, losses[1], 2 * losses[1]], rtol=1e-6)
    assert losses[1] > 0


@pytest.mark.parametrize("trusted", [0, 2])
def test_pseudo_labels_count_beside_trusted_images_only(trusted):
    arrays = read_golden("step_supervised")
    method = golden_method(
        "robust", arrays, rotation_weight=0.0, max_iteration=4, confidence_threshold=0.0
    )
    batch = without_probe(arrays)
    batch |= {"probe_image": batch["image"][:trusted], "probe_label": batch["label"][:trusted]}
    step = tf.function(method.train_step)
    step(batch)
    assert (step(batch).get("loss_pseudo_label", 0) > 0) == (trusted > 0)


def test_p_clean_is_recorded_of_each_example():
    arrays = read_golden("step_supervised")
    method = golden_method("robust", arrays, **OFF)
    logs = method.train_step(without_probe(arrays))
    means, seen = method.record.means()
    assert seen.all()
    assert ((means["p_clean"] > 0) & (means["p_clean"] < 1)).all()
    assert_close(np.mean(means["p_clean"]), logs["p_clean"])


def test_rotated_images_teach_class_and_rotation(rng):
    """On ramps of two colours, which are the classes, the rotation loss goes to zero."""
    arrays = read_golden("step_ieg")
    method = golden_method("robust", arrays, rotation_weight=3.0)
    ramp = np.tile(np.linspace(-1, 1, 12)[None, :, None, None], (16, 1, 12, 3))
    y = np.arange(16) % 2
    ramp[y == 1, :, :, 0] = -1
    images = tf.constant(ramp + 0.1 * rng.normal(size=ramp.shape), tf.float32)
    batch = without_probe(arrays) | {"image": images, "strong_image": images[:8]}
    batch |= {"label": tf.constant(y), "id": tf.range(16, dtype=tf.int64) % len(arrays["y"])}
    step = tf.function(method.train_step)
    losses = [float(step(batch)["loss_rotation"]) for _ in range(60)]
    assert losses[0] > 3 * np.log(20)
    assert losses[-1] < 0.25 * losses[0]


def test_cross_fitting_needs_embeddings():
    config = configuration.resolve("digits", method="robust", transition_estimate="cross_fitted")
    with pytest.raises(InputError, match="--transition_estimate: must be online without"):
        METHODS["robust"].check(config, None, 10)
