"""Training in a task that may be preempted, and retried on another machine."""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from pathlib import Path

from trainer import artifacts, storage
from trainer.errors import InputError
from trainer.training import fit, workers

DATA = (artifacts.PREPARED_DATASET, artifacts.NOISY_LABELS, artifacts.PROBE_SPLIT)
FUSE = "/gcs/"  # where Vertex AI mounts Cloud Storage


def train(
    config,
    data_paths,
    checkpoints_path,
    model_path,
    root="",
    worker=0,
    count=1,
    patience=workers.PATIENCE,
    callbacks=(),
    embeddings_path=None,
    backbone_path=None,
    head_path=None,
    further_facts=None,
):
    """Trains as `trainer.training.fit.train`, from checkpoints of earlier tries if there are any.

    Checkpoints are in a directory of `root` that is named by settings and data; at the end they are
    copied to `checkpoints_path`. Without `root` they are in `checkpoints_path` from the start.

    Args:
      config: `trainer.settings.training.TrainSettings`.
      data_paths: Directories of prepared dataset, noisy labels and probe split.
      checkpoints_path: Directory to write checkpoints to.
      model_path: Directory to write the network with EMA weights to.
      root: Directory or gs:// path that outlives this process.
      worker: Number of this task among several, if TF_CONFIG does not have it.
      count: Number of tasks.
      patience: Seconds to wait for the other tasks.
      callbacks: As for `trainer.training.fit.train`.
      embeddings_path: As for `trainer.training.fit.train`.
      backbone_path: As for `trainer.training.fit.train`.
      head_path: As for `trainer.training.fit.train`.
      further_facts: As for `trainer.training.fit.train`.

    Returns:
      The manifest of the checkpoints; None in a worker that is not the chief.

    Raises:
      InputError, TrainingError, Preempted: As `trainer.training.fit.train`.
    """
    check_writable(root)
    dataset_path, noisy_labels_path, probe_split_path = data_paths
    place = checkpoints_path
    if root:
        name = run_name(config, data_paths, embeddings_path, head_path)
        place = f"{root.rstrip('/')}/{name}"
    group = contextlib.nullcontext()
    finished = Path(place, artifacts.MANIFEST)
    if count > 1 and not finished.is_file():
        check_shared(root)
        group = workers.joined(f"{place}-workers", worker, count, finished, patience)
    with group:
        if workers.this_worker()[1] > 1:
            place = place.replace(storage.SCHEME, FUSE)
        with storage.mirrored(place) as (directory, send):
            run = fit.train(
                config,
                dataset_path=dataset_path,
                noisy_labels_path=noisy_labels_path,
                probe_split_path=probe_split_path,
                checkpoints_path=directory,
                model_path=model_path,
                after_save=lambda: send(""),
                callbacks=callbacks,
                embeddings_path=embeddings_path,
                backbone_path=backbone_path,
                head_path=head_path,
                further_facts=further_facts,
            )
    if run and root:
        shutil.copytree(directory, checkpoints_path, dirs_exist_ok=True)
    return run


def check_shared(root):
    """Raises InputError unless several workers can share the directory."""
    if not root or storage.is_remote(root):
        rule = "must be a directory that all workers see, such as a mounted volume"
        raise InputError("checkpoint_root", rule, root)


def check_writable(root):
    """Raises InputError if this user cannot write the directory, such as a new volume of root."""
    if os.path.isdir(root) and not os.access(root, os.W_OK):
        rule = f"must be writable for user {os.getuid()}; see docs/running.md for volumes of root"
        raise InputError("checkpoint_root", rule, root)


def run_name(config, data_paths, embeddings_path=None, head_path=None):
    """A name that every try of the same training has, and no other training."""
    ids = [artifacts.read(path, kind)["id"] for path, kind in zip(data_paths, DATA)]
    if embeddings_path:
        ids.append(artifacts.read(embeddings_path, artifacts.EMBEDDINGS)["id"])
    if head_path:
        ids.append(artifacts.read(head_path, artifacts.CHECKPOINTS)["id"])
    content = json.dumps([dataclasses.asdict(config), ids])
    return f"{config.method}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
