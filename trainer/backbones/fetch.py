"""A backbone as an artifact, the same wherever images are embedded with it.

<backbone>/
  backbone.keras   images (B, S, S, 3), 0..255, to embeddings (B, D); with its preprocessing
  manifest.json    name, source, licence, sha256 of the weights, image_side (S), embedding_size (D);
                   needs, the package that Keras needs to load it, where there is one;
                   of a network that also sees a smaller copy of the image smaller_side, and
                   kept_size, how many numbers of the embedding come before those of the copy
"""

import contextlib
import hashlib
import json
from pathlib import Path

import keras

from trainer import artifacts, backbones, storage
from trainer.backbones import keras_files, keras_hub_presets, loaded
from trainer.backbones.loaded import file_hash
from trainer.errors import InputError

FILE = "backbone.keras"


def fetch(name, output_path, weights="", side=0, tuned_side=0):
    """Writes a backbone, unless it is there already.

    Args:
      name: See `trainer.backbones`.
      output_path: Directory to write.
      weights: File of weights for `keras:<Name>`.
      side: Side of the images that it takes, in pixels; 0: its own.
      tuned_side: Side of the images in fine-tuning; 0 without. It becomes the side of the smaller
        copy, of a network that sees two sizes, or that of the images unless `side` is given.

    Returns:
      The manifest.

    Raises:
      InputError: The backbone cannot be had, or does not map images to vectors.
    """
    backbones.check(name, weights)
    path, weights = (
        storage.fetched(backbones.place(name), "--backbone"),
        storage.fetched(weights, "--backbone_weights"),
    )
    files = [file for given in (path, weights) if given for file in files_of(Path(given))]
    asked = {"name": name, "sides": [side, tuned_side], "files": [*map(file_hash, files)]}
    with contextlib.suppress(InputError):
        there = read(output_path)
        if there["asked"] == asked:
            return there
    found = load(name, path, weights, side, tuned_side)
    loaded.check(found.network, name)
    facts = {"name": name} | found.facts
    # Not of the file, which holds the time at which it was written.
    identity = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    with artifacts.writing(output_path) as directory:
        found.network.save(directory / FILE)
        return artifacts.finish(directory, artifacts.BACKBONE, id=identity, asked=asked, **facts)


def files_of(path):
    """A file, or the files of a folder, in order."""
    return sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]


def load(name, path, weights, side, tuned_side):
    """`trainer.backbones.loaded.Loaded` of a name, all of whose files are local."""
    if name in backbones.CATALOGUE:
        module = backbones.CATALOGUE[name]
        if backbones.sees_two_sizes(name):
            return module.load(side or module.SIDE, tuned_side)
        return module.load(side or tuned_side or module.SIDE)
    if name.startswith(backbones.KERAS):
        name = name.removeprefix(backbones.KERAS)
        return keras_files.application(name, weights, side or tuned_side or keras_files.SIDE)
    if name.startswith(backbones.HUB):
        preset = path or name.removeprefix(backbones.HUB)
        return keras_hub_presets.load(preset, side or tuned_side)
    return keras_files.own_file(path, side)


def read(path):
    """The manifest of a backbone; InputError if there is none."""
    return artifacts.read(path, artifacts.BACKBONE)


def import_needed(facts):
    """Imports the library of the layers of a backbone; InputError where it is not installed."""
    if facts.get("needs"):
        keras_hub_presets.library(facts["name"])


def read_network(path):
    """The network of a backbone: from images (B, S, S, 3), 0..255, to embeddings (B, D)."""
    import_needed(read(path))
    network = keras.saving.load_model(Path(path) / FILE, compile=False)
    network.trainable = False
    return network
