"""Shards of embeddings made on many machines, by Apache Beam.

Workers need this package. They make the same shards as one machine, in a folder that all of them
see: in Beam's temp_location, if given. A run that was cut off leaves what it has there.
"""

import contextlib
import hashlib
import json
import tempfile
import uuid

import apache_beam as beam
import numpy as np
import tensorflow  # noqa: F401, imported before the threads of a worker need it
from etils import epath

from trainer import artifacts
from trainer.backbones import shards
from trainer.data.beam import options, runner


def write_shards(directory, made, split, size, settings, asked):
    """As `trainer.backbones.shards.write_shards`.

    Args:
      directory: Where to write the shards.
      made: `trainer.backbones.shards.Shards`.
      split: Name of the split.
      size: Number of its images.
      settings: `trainer.settings.data.DataSettings`: runner and options of Beam.
      asked: What the embeddings are made from and how; it names the folder in temp_location.
    """
    names = shards.shard_names(split, size)
    missing = {name: span for name, span in names.items() if not (directory / name).is_file()}
    with shared(directory, made.arguments, settings, asked) as (folder, arguments):
        left = [(name, split, *missing[name]) for name in missing if not (folder / name).exists()]
        print(f"embed {split}: {len(left)} of {len(names)} shards, {settings.beam_runner}")
        with beam.Pipeline(runner(settings), options(settings)) as pipeline:
            _ = (
                pipeline
                | beam.Create(left)
                | beam.Reshuffle()
                | beam.ParDo(Worker(arguments, str(folder)))
            )
        for name in missing:
            with (folder / name).open("rb") as stream:
                shards.write_shard(directory / name, np.load(stream))
            (folder / name).unlink()


@contextlib.contextmanager
def shared(directory, arguments, settings, asked):
    """A folder for shards that all workers see, and the arguments of `Shards` for them.

    A folder in temp_location also holds what they read; it is removed at the end of the block,
    unless that ends by an error.
    """
    given = options(settings).get_all_options()["temp_location"]
    if not given:
        (directory / "by_workers").mkdir(exist_ok=True)
        yield epath.Path(directory / "by_workers"), arguments
        return
    name = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
    folder = epath.Path(given) / f"ieg-embeddings-{name}"
    dataset_path, backbone_path, *others = arguments
    copy(dataset_path, folder / "dataset")
    copy(backbone_path, folder / "backbone")
    yield folder, (str(folder / "dataset"), str(folder / "backbone"), *others)
    folder.rmtree()


def copy(source, target):
    """Copies an artifact, its manifest last, unless it is there."""
    source, target = epath.Path(source), epath.Path(target)
    if (target / artifacts.MANIFEST).exists():
        return
    names = json.loads((source / artifacts.MANIFEST).read_text())["files"]
    for name in (*names, artifacts.MANIFEST):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).copy(target / name, overwrite=True)


class Worker(beam.DoFn):
    """Writes a shard into a folder, by rename, for each (name, split, first, last).

    Args:
      arguments: Of `trainer.backbones.shards.Shards`.
      folder: Path of the folder.
    """

    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, folder
        self.copies = None

    def setup(self):
        *paths, config, seed = self.arguments
        if "://" in self.folder:  # what the workers read must be files
            self.copies = tempfile.TemporaryDirectory()
            local = [epath.Path(self.copies.name) / epath.Path(path).name for path in paths]
            for path, place in zip(paths, local, strict=True):
                copy(path, place)
            paths = local
        self.made = shards.Shards(*map(str, paths), config, seed)

    def process(self, shard):
        name, split, first, last = shard
        rows = np.concatenate(list(self.made.rows(split, first, last)))
        partial = epath.Path(self.folder) / f"{name}.{uuid.uuid4().hex}.partial"
        with partial.open("wb") as stream:
            np.save(stream, rows)
        partial.replace(epath.Path(self.folder) / name)

    def teardown(self):
        if self.copies:
            self.copies.cleanup()
