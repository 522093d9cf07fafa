"""Training from artifacts to artifacts.

<checkpoints>/
  config.json        the resolved settings
  ckpt-<step>.*      TensorFlow checkpoints: weights, moving statistics, momentum, averages, step
  manifest.json      method, steps, seconds, and what is needed to build the network again
<model>/
  model.keras        the network with averaged weights
  manifest.json      method, class_names, image_shape
"""

import dataclasses
import json
import time
from pathlib import Path

import keras
import tensorflow as tf
from tqdm import tqdm

from trainer import manifest
from trainer.config import TrainConfig
from trainer.data import input_pipeline
from trainer.errors import InputError
from trainer.methods import METHODS
from trainer.networks import NETWORKS
from trainer.optimizer import AveragedMomentum
from trainer.schedule import learning_rate


def train(config, dataset_path, noisy_labels_path, probe_split_path, checkpoints_path, model_path):
    """Trains, or goes on where an earlier call with the same settings was cut off.

    Args:
      config: `trainer.config.TrainConfig`.
      dataset_path: Directory of a prepared dataset.
      noisy_labels_path: Directory of its noisy labels.
      probe_split_path: Directory of its probe split.
      checkpoints_path: Directory to write checkpoints to.
      model_path: Directory to write the averaged network to.

    Returns:
      The manifest of the checkpoints.

    Raises:
      InputError: Artifacts that are not whole or do not fit, or a directory of another run.
    """
    data = input_pipeline.load(dataset_path, noisy_labels_path, probe_split_path)
    epoch_steps = input_pipeline.steps_per_epoch(data, config)
    directory = open_checkpoints(checkpoints_path, config, data.manifests)
    if (directory / manifest.MANIFEST).is_file():
        return manifest.read(directory, manifest.CHECKPOINTS)  # finished earlier
    model_directory = manifest.start(model_path)

    dataset = data.manifests[manifest.PREPARED_DATASET]
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    method = build_method(config, dataset, epoch_steps)
    checkpoints = checkpoint_manager(method, directory)
    checkpoints.restore_or_initialize()
    first_step = int(method.optimizer.iterations)

    started = time.monotonic()
    if first_step < config.max_iteration:
        method.fit(
            input_pipeline.training_batches(data, config, METHODS[config.method], first_step),
            steps_per_epoch=config.eval_freq,
            initial_epoch=first_step // config.eval_freq,
            epochs=-(-config.max_iteration // config.eval_freq),
            validation_data=input_pipeline.test_batches(dataset_path, config),
            callbacks=[Loop(config, checkpoints)],
            shuffle=False,
            verbose=0,
        )
    facts = run_facts(config, data.manifests)
    averaged_network(method).save(model_directory / "model.keras")
    manifest.finish(model_directory, manifest.MODEL, data.manifests, **facts)
    return manifest.finish(
        directory, manifest.CHECKPOINTS, data.manifests, **facts, seconds=time.monotonic() - started
    )


def run_facts(config, manifests):
    """What the manifest of a run says: its settings, and the data in a few words."""
    dataset, labels, split = (
        manifests[kind]
        for kind in (manifest.PREPARED_DATASET, manifest.NOISY_LABELS, manifest.PROBE_SPLIT)
    )
    return {
        "config": dataclasses.asdict(config),
        "method": config.method,
        "seed": config.seed,
        "dataset": dataset["source"],
        "class_names": dataset["class_names"],
        "image_shape": dataset["image_shape"],
        "noise": labels["noise"],
        "noise_ratio": labels["noise_ratio"],
        "wrong_labels": labels["wrong_labels"],
        "probe_per_class": split["per_class"],
    }


def build_method(config, dataset, steps_per_epoch=1):
    """The compiled method with a new network, ready for `fit`, `evaluate` or a checkpoint."""
    network = NETWORKS[config.network_name]
    method = METHODS[config.method](
        network.build(dataset["image_shape"], len(dataset["class_names"])),
        config,
        network.WEIGHT_DECAY,
    )
    optimizer = AveragedMomentum(learning_rate(config, steps_per_epoch), config.momentum)
    optimizer.build(method.network.trainable_variables)
    method.compile(optimizer, jit_compile=False)
    return method


def open_checkpoints(path, config, parents):
    """The directory of checkpoints, new, or that of an unfinished run with the same settings."""
    directory, settings = Path(path), Path(path) / "config.json"
    identity = {
        "config": dataclasses.asdict(config),
        "parents": {kind: parent["id"] for kind, parent in parents.items()},
    }
    if settings.is_file():
        if json.loads(settings.read_text()) != identity:
            rule = "holds a run with other settings or data; name another directory, or remove it"
            raise InputError("checkpoint directory", rule, str(path))
        return directory
    directory = manifest.start(path)
    manifest.write_json(settings, identity)
    return directory


def checkpoint_manager(method, directory):
    checkpoint = tf.train.Checkpoint(network=method.network, optimizer=method.optimizer)
    return tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=2)


def restore(checkpoints_path):
    """The method of a finished run, with its last weights, and the manifest of its checkpoints."""
    run = manifest.read(checkpoints_path, manifest.CHECKPOINTS)
    method = build_method(TrainConfig(**run["config"]), run)
    manager = checkpoint_manager(method, checkpoints_path)
    manager.checkpoint.restore(manager.latest_checkpoint).assert_existing_objects_matched()
    return method, run


def averaged_network(method):
    """A copy of the network with averaged weights."""
    network = keras.models.clone_model(method.network)
    network.set_weights(method.network.get_weights())
    for variable, average in zip(network.trainable_variables, method.optimizer.averages):
        variable.assign(average)
    return network


class Loop(keras.callbacks.Callback):
    """Progress bar, checkpoints, and the end after `max_iteration` steps."""

    def __init__(self, config, checkpoints):
        super().__init__()
        self.config = config
        self.checkpoints = checkpoints

    def on_train_begin(self, logs=None):
        self.bar = tqdm(
            desc=self.config.method,
            initial=int(self.model.optimizer.iterations),
            total=self.config.max_iteration,
            unit=" steps",
        )

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()
        if self.bar.n >= self.config.max_iteration:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        self.bar.set_postfix(loss=logs["loss"], top1=logs["val_top1"], refresh=False)
        self.checkpoints.save(int(self.model.optimizer.iterations))

    def on_train_end(self, logs=None):
        self.bar.close()
