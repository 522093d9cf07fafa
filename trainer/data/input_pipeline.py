"""Batches for training. The content of a batch follows from (seed, step) alone.

B batch size, H W image, N training examples, M probe examples.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from trainer import artifacts
from trainer.data import embedded, folds, partly_embedded, probe, records, views
from trainer.data.noise import injection
from trainer.data.streams import TensorStream
from trainer.errors import InputError

Images = (
    views.WholeImages | views.Crops | embedded.EmbeddedImages | partly_embedded.PartlyEmbeddedImages
)


@dataclass(frozen=True)
class TrainingData:
    """Everything that training may see: given labels, and clean labels of the probe only.

    Attributes:
      ids: int64 (N,), of the training examples in the prepared dataset.
      images: Their `views.WholeImages` or `views.Crops`, `embedded.EmbeddedImages`, or
        `partly_embedded.PartlyEmbeddedImages`.
      labels: int32 (N,), as given.
      probe_images: Views of the M probe examples.
      probe_labels: int32 (M,), clean.
      probe_order: int64, positions among the M in the order in which batches take them; (M,) and
        ascending unless reviewed labels make some classes larger.
      manifests: Those of the artifacts it comes from, by kind.
    """

    ids: np.ndarray
    images: Images
    labels: np.ndarray
    probe_images: Images
    probe_labels: np.ndarray
    manifests: dict
    probe_order: np.ndarray | None = None


def load_training_data(
    dataset_path,
    noisy_labels_path,
    probe_split_path,
    config,
    embeddings_path=None,
    uses_probe=True,
):
    """Reads the artifacts; InputError if one is not whole or they do not fit together.

    Reviewed examples are trained on with the label of the review. They are in the probe as well
    where the method uses it and every class then has an example in it.
    """
    dataset = records.read_manifest(dataset_path)
    labels, noisy_labels = injection.read_noisy_labels(noisy_labels_path, dataset)
    probe_ids, train_ids, probe_split = probe.read_split(probe_split_path, dataset)
    train_ids = train_ids[folds.fold_of(train_ids, config) != config.audit_fold]
    probe_ids, _ = probe.split_for_calibration(probe_ids, config, len(dataset["class_names"]))
    true = probe.trusted_labels(probe_split_path, dataset_path, labels)
    reviewed, order = probe.read_ids(probe_split_path, probe_split, probe.REVIEWED), None
    train_ids = np.concatenate([train_ids, reviewed])  # at the end: an audit leaves them out
    if len(reviewed) and uses_probe:
        trusted = np.concatenate([probe_ids, reviewed])
        if len(np.unique(true[trusted])) == len(dataset["class_names"]):
            probe_ids, order = trusted, probe.balanced_order(true[trusted])
    manifests = {m["kind"]: m for m in (dataset, noisy_labels, probe_split)}
    if embeddings_path:
        manifests[artifacts.EMBEDDINGS] = embedded.read_manifest(embeddings_path, dataset)

    def make(ids):
        if config.on_embeddings:
            return embedded.EmbeddedImages(embeddings_path, ids)
        encoded = records.EncodedImages(dataset_path, "train", ids)
        images = views.make_views(encoded, dataset, config)
        if kept := partly_embedded.kept_size(embeddings_path):
            numbers = embedded.EmbeddedImages(embeddings_path, ids, kept)
            images = partly_embedded.PartlyEmbeddedImages(images, numbers)
        return images

    images, probe_images = make(train_ids), make(probe_ids)
    return TrainingData(
        ids=train_ids,
        images=images,
        labels=labels[train_ids],
        probe_images=probe_images,
        probe_labels=true[probe_ids],
        manifests=manifests,
        probe_order=order,
    )


def test_batches(dataset_path, config, batch_size, split="test", ids=None, embeddings_path=None):
    """One pass over a split, or those `ids` of it, in order, as a network is tested.

    Args:
      dataset_path: Directory of a prepared dataset.
      config: `trainer.settings.training.TrainSettings` of the run.
      batch_size: B.
      split: Name of the split.
      ids: int64 (N,), all unless given.
      embeddings_path: Directory of the embeddings, where it sees these or a part of them.

    Returns:
      As `test_batches` of `trainer.data.views`, `embedded` or `partly_embedded`.
    """
    which = batch_size, split, ids
    if config.on_embeddings:
        return embedded.test_batches(dataset_path, embeddings_path, *which)
    images = views.test_batches(dataset_path, config, *which)
    if kept := partly_embedded.kept_size(embeddings_path):
        numbers = embedded.test_batches(dataset_path, embeddings_path, *which)
        return partly_embedded.test_batches(images, numbers, kept)
    return images


def fit_batch_size(data, config, replicas=1):
    """`config` with a smaller batch if there are fewer training examples than it takes."""
    most = max(1, len(data.labels) // replicas)
    return dataclasses.replace(config, batch_size=min(config.batch_size, most))


def steps_per_epoch(data, config, replicas=1):
    """Full batches in one pass over the training examples."""
    steps = len(data.labels) // (config.batch_size * replicas)
    if steps == 0:
        rule = f"times {replicas} replicas must be at most {len(data.labels)} training examples"
        raise InputError("--batch_size", rule, config.batch_size)
    return steps


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
    """Endless batches, starting with step `first_step`.

    The replicas divide the examples of a step: a step of R replicas has the examples that R steps
    of one replica have.

    Args:
      data: `TrainingData`.
      config: `trainer.settings.training.TrainSettings`.
      method: The method, or its class, which says what it uses.
      first_step: Steps that have been taken already.
      mine: Range of the replicas to make batches for, one after the other.
      replicas: R, how many there are.

    Returns:
      `tf.data.Dataset` of dictionaries:
        id (B,), image (B, H, W, channels), or (B, D) of embeddings, and label (B,): a weak view of
          training examples, and their position among them;
        strong_image: a strong view of the first `strong_size`, if the method uses one;
        probe_image, probe_label: the next `probe_size` of the probe, if the method uses it;
        the random numbers that the method `draws`.
    """
    B, epoch_batches = config.batch_size, steps_per_epoch(data, config, replicas) * replicas
    labels, probe_labels = tf.constant(data.labels), tf.constant(data.probe_labels)
    N, M = len(data.labels), len(data.probe_labels)
    order = None if data.probe_order is None else tf.constant(data.probe_order)
    probe_size, strong_size = method.probe_size(config) if M else 0, method.strong_size(config)
    C = len(data.manifests[artifacts.PREPARED_DATASET]["class_names"])

    @tf.autograph.experimental.do_not_convert  # there is nothing to convert, which takes seconds
    def batch(count):
        step, replica = first_step + count // len(mine), mine.start + count % len(mine)
        index = step * replicas + replica
        rows = tf.range(B, dtype=index.dtype)
        epoch, position = index // epoch_batches, (index % epoch_batches) * B + rows
        ids = tf.random.experimental.index_shuffle(position, [config.seed, epoch], N - 1)
        seed = tf.random.fold_in([config.seed, TensorStream.BATCHES], index)
        seeds = tf.unstack(tf.random.split(seed, 6))
        parts = {"id": ids, "label": tf.gather(labels, ids)}
        if strong_size:
            weak, strong = data.images.weak_and_strong(ids, seeds[0], seeds[1], strong_size)
            parts |= {"image": weak, "strong_image": strong}
        else:
            parts["image"] = data.images.weak(ids, seeds[0])
        if method.uses_probe:
            next_ids = index * probe_size + tf.range(probe_size, dtype=index.dtype)
            next_ids = next_ids % M if order is None else tf.gather(order, next_ids % len(order))
            parts["probe_image"] = data.probe_images.weak(next_ids, seeds[2])
            parts["probe_label"] = tf.gather(probe_labels, next_ids)
        return parts | method.draws(config, C, seeds[3:])

    counts = tf.data.Dataset.range(np.iinfo(np.int64).max)
    return counts.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
