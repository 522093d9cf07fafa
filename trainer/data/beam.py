"""Image files checked and written on many machines, by Apache Beam.

Workers need access to the files, and this package. They write the same as one machine: the same
ids, the same content.
"""

import contextlib
import json
import tempfile
import uuid

import apache_beam as beam
import numpy as np
import pandas as pd
import tensorflow  # noqa: F401, imported before the threads of a worker need it
import tensorflow_datasets as tfds
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from etils import epath

from trainer.data.record_writer import VERSION, record_features
from trainer.data.sources.image_check import COLUMNS, check, stored
from trainer.errors import InputError


def check_all(paths, settings):
    """The table that `trainer.data.sources.image_check.check_all` gives."""
    with staging(settings) as folder:
        with beam.Pipeline(runner(settings), options(settings)) as pipeline:
            _ = (
                pipeline
                | beam.Create(list(enumerate(paths)))
                | beam.Reshuffle()
                | beam.MapTuple(lambda i, path: json.dumps([i, *check(path, read)]))
                | beam.io.WriteToText(str(folder / "checked"))
            )
        rows = [json.loads(line) for part in folder.iterdir() for line in part.open()]
    table = pd.DataFrame(rows, columns=["row", *COLUMNS]).set_index("row")
    return table.sort_index().astype(COLUMNS)


def write(directory, name, source, settings):
    """As `trainer.data.record_writer.write_records`; splits are `sources.files.Files`."""
    with staging(settings, directory) as folder:
        tfds.dataset_builders.store_as_tfds_dataset(
            name,
            VERSION,
            record_features(source),
            {split: examples(files) for split, files in source.splits.items()},
            data_dir=folder,
            file_format="array_record",
            download_config=download_config(settings),
            disable_shuffling=True,
        )
        for file in (folder / name / VERSION).iterdir():
            file.copy(directory / file.name)
    return {
        split: (files.labels.to_numpy(np.int32), files.digests.to_numpy())
        for split, files in source.splits.items()
    }


def examples(files):
    """Transform that gives (id, example) of each file."""
    rows = list(zip(range(len(files)), files.paths, files.labels.tolist()))
    return (
        beam.Create(rows)
        | beam.Reshuffle()
        | beam.MapTuple(
            lambda i, path, label: (i, {"id": i, "image": stored(path, read), "label": label})
        )
    )


def read(path):
    """The bytes of a file in any storage that Beam knows."""
    with FileSystems.open(path) as file:
        return file.read()


def download_config(settings):
    """How TensorFlow Datasets prepares a set."""
    return tfds.download.DownloadConfig(
        beam_runner=runner(settings), beam_options=options(settings)
    )


def runner(settings):
    try:
        return beam.runners.create_runner(settings.beam_runner)
    except (ValueError, ImportError, AttributeError) as error:
        rule = f"must be a runner of Beam, such as DirectRunner ({error})"
        raise InputError("--beam_runner", rule, settings.beam_runner) from error


def options(settings):
    """`PipelineOptions` from name=value,name=value."""
    return PipelineOptions([f"--{option}" for option in settings.beam_options.split(",") if option])


@contextlib.contextmanager
def staging(settings, directory=None):
    """A temporary folder that all workers see, for a `with` block; in temp_location, if given."""
    given = options(settings).get_all_options()["temp_location"]
    if not given:
        with tempfile.TemporaryDirectory(dir=directory) as folder:
            yield epath.Path(folder)
        return
    folder = epath.Path(given) / f"ieg-pipeline-{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        folder.rmtree()
