"""Batches for training and testing. What is in a batch follows from (seed, step) alone.

B batch size, H W image, N training examples, M probe examples.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from trainer.data import augment, autoaugment, noise, probe, records
from trainer.errors import InputError

# Makers of a strong view from a weak one.
STRONG = {
    "affine": augment.strong,
    "autoaug": autoaugment.cifar_strong,
    "randaug": autoaugment.randaugment_strong,
}


@dataclass(frozen=True)
class TrainingData:
    """All that training may see: given labels, and clean ones of the probe only.

    Attributes:
      ids: int64 (N,), of the training examples in the prepared dataset.
      images: uint8 (N, H, W, channels).
      labels: int32 (N,), as given.
      probe_images: uint8 (M, H, W, channels).
      probe_labels: int32 (M,), clean.
      manifests: Those of the three artifacts it comes from, by kind.
    """

    ids: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    probe_images: np.ndarray
    probe_labels: np.ndarray
    manifests: dict


def load(dataset_path, noisy_labels_path, probe_split_path):
    """Reads the three artifacts; InputError if one is not whole or they do not fit together."""
    dataset = records.read_manifest(dataset_path)
    labels, noisy_labels = noise.read(noisy_labels_path, dataset)
    probe_ids, train_ids, probe_split = probe.read(probe_split_path, dataset)
    images = records.read_images(dataset_path, "train")
    return TrainingData(
        ids=train_ids,
        images=images[train_ids],
        labels=labels[train_ids],
        probe_images=images[probe_ids],
        probe_labels=records.read_labels(dataset_path, "train")[probe_ids],
        manifests={m["kind"]: m for m in (dataset, noisy_labels, probe_split)},
    )


def steps_per_epoch(data, config, replicas=1):
    """Full batches in one pass over the training examples."""
    steps = len(data.labels) // (config.batch_size * replicas)
    if steps == 0:
        rule = f"times {replicas} replicas must be at most {len(data.labels)} training examples"
        raise InputError("--batch_size", rule, config.batch_size)
    return steps


def check_augmentation(data, config, method):
    """Raises InputError unless the strong view can be made of these images."""
    channels = data.images.shape[-1]
    if method.uses_strong_view and config.aug_type in ("autoaug", "randaug") and channels != 3:
        rule = f"must be affine or default for images of {channels} channel(s)"
        raise InputError("--aug_type", rule, config.aug_type)


def distributed_batches(data, config, method, strategy, first_step=0):
    """`training_batches` for the replicas of a strategy."""

    def batches_of_worker(context):
        local = strategy.num_replicas_in_sync // context.num_input_pipelines
        mine = range(context.input_pipeline_id * local, (context.input_pipeline_id + 1) * local)
        return training_batches(
            data, config, method, first_step, mine, strategy.num_replicas_in_sync
        )

    return strategy.distribute_datasets_from_function(batches_of_worker)


def training_batches(data, config, method, first_step=0, mine=range(1), replicas=1):
    """Endless batches, from those of step `first_step` on.

    The replicas share each step's part of the epoch: a step of R replicas shows the examples
    that R steps of one replica show.

    Args:
      data: `TrainingData`.
      config: `trainer.config.TrainConfig`.
      method: The method, or its class, which tells what it uses.
      first_step: Steps that have been taken already.
      mine: Range of the replicas to make batches for, one after the other.
      replicas: R, how many there are.

    Returns:
      `tf.data.Dataset` of dictionaries:
        id (B,), image (B, H, W, channels) and label (B,): a weak view of training examples, and
          their position among them;
        strong_image: a strong view made from the weak one, if the method uses it;
        probe_image, probe_label: the next B of the probe, if the method uses it;
        mix_uniform (3B,), mix_permutation (3B,), probe_draw (B,): random numbers for MixUp.
    """
    B, epoch_batches = config.batch_size, steps_per_epoch(data, config, replicas) * replicas
    # Tensors, since an array used inside `map` would become a constant of the graph.
    images, labels = tf.constant(data.images), tf.constant(data.labels)
    probe_images, probe_labels = tf.constant(data.probe_images), tf.constant(data.probe_labels)
    N, M = len(data.labels), len(data.probe_labels)

    def weak(images, seed):
        return augment.weak(images, seed, config.crop_padding, config.horizontal_flip)

    def strong(view, images, seed):
        make = STRONG.get(config.aug_type)
        return make(view, seed) if make else weak(images, seed)

    def batch(count):
        step, replica = first_step + count // len(mine), mine.start + count % len(mine)
        index = step * replicas + replica
        rows = tf.range(B, dtype=index.dtype)
        epoch, position = index // epoch_batches, (index % epoch_batches) * B + rows
        ids = tf.random.experimental.index_shuffle(position, [config.seed, epoch], N - 1)
        seeds = tf.unstack(tf.random.split(tf.random.fold_in([config.seed, 1], index), 6))
        parts = {"id": ids, "label": tf.gather(labels, ids)}
        parts["image"] = weak(tf.gather(images, ids), seeds[0])
        if method.uses_strong_view:
            parts["strong_image"] = strong(parts["image"], tf.gather(images, ids), seeds[1])
        if method.uses_probe:
            next_ids = (index * B + rows) % M
            parts["probe_image"] = weak(tf.gather(probe_images, next_ids), seeds[2])
            parts["probe_label"] = tf.gather(probe_labels, next_ids)
        if method.uses_strong_view and method.uses_probe:
            parts["mix_uniform"] = tf.random.stateless_uniform([3 * B], seeds[3])
            parts["mix_permutation"] = tf.argsort(tf.random.stateless_uniform([3 * B], seeds[4]))
            parts["probe_draw"] = tf.random.stateless_uniform([B], seeds[5], 0, B, tf.int32)
        return parts

    counts = tf.data.Dataset.range(np.iinfo(np.int64).max)
    return counts.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def test_batches(dataset_path, batch_size, split="test"):
    """One pass over a split, without augmentation, the last batch as large as it comes."""
    images = records.read_images(dataset_path, split)
    labels = records.read_labels(dataset_path, split)
    batches = tf.data.Dataset.from_tensor_slices({"image": images, "label": labels})
    batches = batches.batch(batch_size)
    return batches.map(lambda batch: batch | {"image": augment.scale(batch["image"])})
