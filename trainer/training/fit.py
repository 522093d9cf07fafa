"""Training: reads artifacts and writes artifacts.

<checkpoints>/   see `trainer.training.checkpoints`
<model>/
  model.keras        the network with EMA weights
  manifest.json      method, class_names, image_shape
"""

import contextlib
import dataclasses
import functools
import sys
from pathlib import Path

import keras
import tensorflow as tf

from trainer import artifacts, backbones, networks
from trainer.data import input_pipeline, records, views
from trainer.errors import InputError, WorkerLost
from trainer.methods import METHODS
from trainer.training import configuration, finetuning, workers
from trainer.training.callbacks import FiniteLosses, Progress, TensorBoardScalars
from trainer.training.checkpoints import Checkpoints, open_directory
from trainer.training.optimizer import OPTIMIZERS, LossScale
from trainer.training.preemption import SaveBetweenTests
from trainer.training.schedule import learning_rate
from trainer.training.testing import CollapseWarning, Testing


@contextlib.contextmanager
def one_line_for_a_lost_worker():
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
        raise WorkerLost(
            "another worker was lost; the same command in all workers resumes from the last"
            " checkpoint"
        ) from error


@artifacts.enough_room()
@one_line_for_a_lost_worker()
def train(
    config,
    dataset_path,
    noisy_labels_path,
    probe_split_path,
    checkpoints_path,
    model_path,
    after_save=lambda: None,
    callbacks=(),
    embeddings_path=None,
    backbone_path=None,
    head_path=None,
    further_facts=None,
):
    """Trains, or resumes where an earlier call with the same settings was cut off.

    Several workers, named in TF_CONFIG, train one network. All read these directories, which must
    be on storage that all workers see; only the chief writes.

    Args:
      config: `trainer.settings.training.TrainSettings`.
      dataset_path: Directory of a prepared dataset.
      noisy_labels_path: Directory of its noisy labels.
      probe_split_path: Directory of its probe split.
      checkpoints_path: Directory to write checkpoints to.
      model_path: Directory to write the network with EMA weights to.
      after_save: Called after each checkpoint.
      callbacks: Further Keras callbacks, called before a step is checked, tested and saved.
      embeddings_path: Directory of the embeddings, where there is a backbone.
      backbone_path: Directory of the backbone, where it is fine-tuned.
      head_path: Directory of the checkpoints of a head on its embeddings, which it starts from.
      further_facts: Further entries of the manifests, by name.

    Returns:
      The manifest of the checkpoints; None in a worker that is not the chief.

    Raises:
      InputError: Artifacts that are not whole or do not fit, or a directory of another run.
      TrainingError: A loss or a weight is not finite.
      WorkerLost: Another worker was lost.
      Preempted: The process, or another worker, was sent SIGTERM or SIGINT.
    """
    strategy = replicas()
    workers.mean_over_workers(strategy, 0)  # others wait here while the chief prepares the data
    chief, model_path = workers.this_worker()[0] == 0, Path(model_path)
    data = load_checked(config, dataset_path, noisy_labels_path, probe_split_path, embeddings_path)
    if config.finetune:
        starts = finetuning.read_start(config, data.manifests, backbone_path, head_path)
        finetuning.check(backbone_path, config.finetune_image_size)
        data.manifests.update(starts)
    config, epoch_steps = settled(config, data, strategy)
    directory = open_directory(checkpoints_path, config, data.manifests, chief)
    finished = (directory / artifacts.MANIFEST).is_file()
    if finished and (model_path / artifacts.MANIFEST).is_file():
        return artifacts.read(directory, artifacts.CHECKPOINTS)
    if chief:
        artifacts.start(model_path)
    facts = run_facts(config, data) | (further_facts or {})
    make_repeatable(config)
    method = first_method(config, facts, data, epoch_steps, strategy, backbone_path, head_path)
    method.embeddings_path = embeddings_path
    if chief and config.finetune:
        finetuning.write_network(method.full_network, directory)
    checkpoints = Checkpoints(method, directory, chief, after_save)
    checkpoints.restore()
    check_same_step(strategy, checkpoints)
    if not checkpoints.step and not config.finetune:
        method.begin(data)
    take_steps(method, data, checkpoints, epoch_steps, dataset_path, callbacks)
    if not chief:
        return None
    write_model(method, model_path, data, facts)
    if finished:
        return artifacts.read(directory, artifacts.CHECKPOINTS)
    return artifacts.finish(
        directory, artifacts.CHECKPOINTS, data.manifests, **facts, seconds=checkpoints.seconds
    )


def settled(config, data, strategy):
    """The settings after data and replicas are known, and the number of steps in an epoch."""
    replicas = strategy.num_replicas_in_sync
    config = input_pipeline.fit_batch_size(data, config, replicas)
    epoch_steps = input_pipeline.steps_per_epoch(data, config, replicas)
    return configuration.in_steps(config, epoch_steps), epoch_steps


def check_same_step(strategy, checkpoints):
    """Raises InputError unless all workers resume from the same step."""
    if workers.mean_over_workers(strategy, checkpoints.step) != checkpoints.step:
        rule = "must be on storage that all workers see; the others see other checkpoints"
        raise InputError("checkpoint directory", rule, str(checkpoints.directory))


def write_model(method, directory, data, facts):
    averaged_network(method).save(directory / "model.keras")
    artifacts.finish(directory, artifacts.MODEL, data.manifests, **facts)


def load_checked(config, dataset_path, noisy_labels_path, probe_split_path, embeddings_path):
    """The training data; InputError if they are not whole, or the method cannot use them."""
    dataset, method = records.read_manifest(dataset_path), METHODS[config.method]
    if not config.on_embeddings:
        views.check_augmentation(dataset, config, method)
    check_embeddings(config, embeddings_path)
    data = input_pipeline.load_training_data(
        dataset_path,
        noisy_labels_path,
        probe_split_path,
        config,
        embeddings_path,
        uses_probe=method.uses_probe and bool(method.probe_size(config)),
    )
    method.check(config, data, len(dataset["class_names"]))
    return data


def check_embeddings(config, embeddings_path):
    """Raises InputError unless there are embeddings of the backbone exactly if there is one."""
    found = backbones.NONE
    if embeddings_path:
        made = artifacts.read(embeddings_path, artifacts.EMBEDDINGS)
        found = made["backbone"]["name"]
    if found != config.backbone:
        rule = f"must be of the backbone of the run, which is {config.backbone}"
        raise InputError(artifacts.EMBEDDINGS, rule, found)


def make_repeatable(config):
    keras.backend.clear_session()  # layers are numbered anew: the order of some sums follows names
    keras.utils.set_random_seed(config.seed)
    if not config.jit_compile:  # Keras would turn XLA off
        tf.config.experimental.enable_op_determinism()
    if not tf.config.list_physical_devices("GPU"):  # it takes seconds, and on a CPU gains nothing
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def take_steps(method, data, checkpoints, epoch_steps, dataset_path, callbacks=()):
    """Trains from the step of the checkpoints to the last one."""
    config, strategy, first = method.config, method.distribute_strategy, checkpoints.step
    if first == config.max_iteration:
        return
    if first and checkpoints.chief:
        print(f"resuming at step {first}", file=sys.stderr)
    with (
        contextlib.closing(Progress(config, first, hidden=not checkpoints.chief)) as progress,
        contextlib.closing(SaveBetweenTests(checkpoints)) as save_between_tests,
    ):
        method.fit(
            input_pipeline.distributed_batches(data, config, method, strategy, first),
            steps_per_epoch=config.max_iteration - first,
            callbacks=[  # in this order: what a test finds out goes to those after it
                *method.callbacks(data, epoch_steps),
                *callbacks,
                FiniteLosses(),
                *test_callbacks(method, data, checkpoints, dataset_path),
                progress,
                save_between_tests,
            ],
            shuffle=False,
            verbose=0,
        )


def test_callbacks(method, data, checkpoints, dataset_path):
    """Callbacks that test the network, and those of the chief that show the results."""
    config = method.config
    method.tests_raw = config.test_raw_weights
    batch_size = config.val_batch_size * method.distribute_strategy.num_replicas_in_sync
    test_batches = input_pipeline.test_batches(
        dataset_path, config, batch_size, embeddings_path=method.embeddings_path
    )
    clean_labels = records.read_clean_labels(dataset_path)[data.ids]
    testing = Testing(config, checkpoints, test_batches, data.labels, clean_labels)
    if not checkpoints.chief:
        return [testing]
    names = data.manifests[artifacts.PREPARED_DATASET]["class_names"]
    board = TensorBoardScalars(checkpoints.directory / "tensorboard")
    return [testing, CollapseWarning(testing, names), board]


@functools.cache
def replicas():
    """The strategy over all GPUs that CUDA_VISIBLE_DEVICES leaves visible; one device without.

    In several workers it has to be made before TensorFlow does anything else.
    """
    if workers.this_worker()[1] > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    return tf.distribute.MirroredStrategy(gpus) if len(gpus) > 1 else tf.distribute.get_strategy()


def run_facts(config, data):
    """Entries of the manifest of a run: its settings, and the main facts about its data."""
    dataset, labels, split = (
        data.manifests[kind]
        for kind in (artifacts.PREPARED_DATASET, artifacts.NOISY_LABELS, artifacts.PROBE_SPLIT)
    )
    facts = {}
    if made := data.manifests.get(artifacts.EMBEDDINGS):
        facts["backbone"] = made["backbone"] | {"embedding_size": made["embedding_size"]}
    if backbone := data.manifests.get(artifacts.BACKBONE):
        facts["backbone"] = finetuning.facts(backbone)
    return facts | {
        "config": dataclasses.asdict(config),
        "method": config.method,
        "seed": config.seed,
        "dataset": dataset["source"],
        "class_names": dataset["class_names"],
        "image_shape": input_shape(config, data),
        "num_examples": len(data.labels),
        "noise": labels["noise"],
        "noise_ratio": labels["noise_ratio"],
        "wrong_labels": labels["wrong_labels"],
        "probe_per_class": split["per_class"],
    }


def input_shape(config, data):
    """(H, W, channels) of the images that the network sees, or (D,) of embeddings."""
    if config.on_embeddings:
        return (data.manifests[artifacts.EMBEDDINGS]["embedding_size"],)
    return views.input_shape(data.manifests[artifacts.PREPARED_DATASET], config)


def new_network(config, facts, data=None):
    """A network with its first weights.

    Args:
      config: `trainer.settings.training.TrainSettings`.
      facts: `run_facts`, or the manifest that has them.
      data: `trainer.data.input_pipeline.TrainingData`, by which a new head standardises.
    """
    module = networks.named(config.network_name)
    shape, num_classes = facts["image_shape"], len(facts["class_names"])
    if config.network_name != networks.HEAD:
        return module.build(shape, num_classes)
    network = module.build(shape, num_classes, weight_decay(config, facts))
    if data:
        module.standardise(network, *data.images.statistics())
    return network


def weight_decay(config, facts):
    """Factor of half the sum of the squared weights, of the network of a run."""
    if config.backbone == backbones.NONE:
        return networks.named(config.network_name).WEIGHT_DECAY
    return networks.head.weight_decay(facts["num_examples"])


def first_method(config, facts, data, steps_per_epoch, strategy, backbone_path, head_path):
    """The method with first weights; to fine-tune, with what backbone and head have learned.

    Args:
      config: `trainer.settings.training.TrainSettings`.
      facts: `run_facts`.
      data: `trainer.data.input_pipeline.TrainingData`.
      steps_per_epoch: As for `build_method`.
      strategy: Distribution strategy that its variables belong to.
      backbone_path: Directory of the backbone, where it is fine-tuned.
      head_path: Directory of the checkpoints of the head, likewise.
    """
    earlier = restored(head_path)[0] if config.finetune else None
    with strategy.scope():
        if not config.finetune:
            return build_method(config, facts, steps_per_epoch, new_network(config, facts, data))
        head, shape = averaged_network(earlier), facts["image_shape"]
        network = finetuning.composed(config, backbone_path, head, shape)
        method = build_method(config, facts, steps_per_epoch, network)
        method.continue_from(earlier)
        return method


def build_method(config, facts, steps_per_epoch=1, network=None):
    """The compiled method, ready for `fit`, `evaluate` or a checkpoint.

    Args:
      config: `trainer.settings.training.TrainSettings`.
      facts: `run_facts`, or the manifest that has them.
      steps_per_epoch: For the warm-up of the learning rate, and for fsr.
      network: What it trains; `new_network` unless given.
    """
    network = network or new_network(config, facts)
    method = METHODS[config.method](
        network,
        config,
        weight_decay(config, facts),
        facts["num_examples"],
        steps_per_epoch,
    )
    rate = learning_rate(config, steps_per_epoch)
    optimizer = OPTIMIZERS[config.optimizer](
        rate,
        config.momentum,
        config.ema_decay,
        # Each replica clips its part of the gradients, of which the optimiser takes the sum.
        config.clip_norm / method.distribute_strategy.num_replicas_in_sync,
        finetuning.factors(config, method),
    )
    if config.mixed_precision == "float16":
        optimizer = LossScale(optimizer)
    optimizer.build(method.trained)
    method.compile(optimizer, jit_compile=config.jit_compile)
    return method


def restore(checkpoints_path, embeddings_path=None):
    """The method of a finished run, with its last weights, and the manifest of its checkpoints.

    Args:
      checkpoints_path: Their directory.
      embeddings_path: Directory of the embeddings of the images, where there are some; a run that
        has no backbone leaves them alone.

    Raises:
      InputError: An artifact is not whole, or the embeddings are not those of the run.
    """
    run = artifacts.read(checkpoints_path, artifacts.CHECKPOINTS)
    config = configuration.restored(run["config"])
    embeddings_path = embeddings_path if config.backbone != backbones.NONE else None
    check_embeddings(config, embeddings_path)
    if embeddings_path:
        artifacts.check_parent(run, artifacts.read(embeddings_path, artifacts.EMBEDDINGS))
    method, run = restored(checkpoints_path)
    method.embeddings_path = embeddings_path
    return method, run


def restored(checkpoints_path):
    """As `restore`, to look at the weights and the state only: without a look at embeddings."""
    run = artifacts.read(checkpoints_path, artifacts.CHECKPOINTS)
    config = configuration.restored(run["config"])
    network = finetuning.saved_network(checkpoints_path, run) if config.finetune else None
    method = build_method(config, run, network=network)
    Checkpoints(method, checkpoints_path).restore()
    return method, run


def averaged_network(method):
    """A copy of the network with EMA weights, in full precision."""
    network = keras.models.clone_model(method.full_network)
    network.set_weights(method.network.get_weights())
    for variable, average in zip(network.trainable_variables, method.ema, strict=True):
        variable.assign(average)
    return network
