"""The embeddings of all images of a dataset: what a backbone makes of them, once.

<embeddings>/
  train.npy        float16 (N, V, D), by id: view 0 as tests see the image, the others by weak
                   augmentation
  test.npy         float16 (T, 1, D), by id
  asked.json       what they were made from and how
  manifest.json    views (V), embedding_size (D), crop_side and image_shape of the views, backbone

Each shard is written by rename, and a run that was cut off resumes after the last one. N training
images, T test images.
"""

import functools
import json
import shutil
from pathlib import Path

from trainer import artifacts
from trainer.backbones import fetch, seen, shards
from trainer.data import records

SHARDS, ASKED = "shards", "asked.json"
OF_BACKBONE = (
    *("name", "source", "licence", "sha256", "image_side", "needs", "smaller_side", "kept_size"),
)


@artifacts.enough_room()
def embed(dataset_path, backbone_path, output_path, config, seed=0, files=None):
    """Writes embeddings, unless they are there already; resumes where an earlier call was cut off.

    Args:
      dataset_path: Directory of the prepared dataset.
      backbone_path: Directory of the backbone.
      output_path: Directory to write.
      config: `trainer.settings.training.TrainSettings`: number of views, weak augmentation.
      seed: Of the views.
      files: `trainer.settings.data.DataSettings`, whose Beam runner, if any, embeds the images.

    Returns:
      The manifest.

    Raises:
      InputError: Artifacts that are not whole, a full disk, or embeddings that are not finite.
    """
    dataset, backbone = records.read_manifest(dataset_path), fetch.read(backbone_path)
    asked = {
        "dataset": dataset["id"],
        "backbone": backbone["id"],
        "views": config.backbone_views,
        "crop_padding": config.crop_padding,
        "horizontal_flip": config.horizontal_flip,
        "seed": seed,
    }
    directory = open_directory(output_path, asked)
    if (directory / artifacts.MANIFEST).is_file():
        return artifacts.read(directory, artifacts.EMBEDDINGS)
    (directory / SHARDS).mkdir(exist_ok=True)
    made = shards.Shards(dataset_path, backbone_path, config, seed)
    write = shards.write_shards
    if files and files.beam_runner:
        from trainer.backbones import beam  # takes seconds to import

        write = functools.partial(beam.write_shards, settings=files, asked=asked)
    for split, size in dataset["num_examples"].items():
        file = directory / f"{split}.npy"
        if split in made.views and not file.is_file():
            write(directory / SHARDS, made, split, size)
            shape = (size, made.views[split], backbone["embedding_size"])
            names = shards.shard_names(split, size)
            shards.join(file, [directory / SHARDS / name for name in names], shape)
    shutil.rmtree(directory / SHARDS, ignore_errors=True)
    crop_side = seen.crop_side(dataset, backbone, config)
    return artifacts.finish(
        directory,
        artifacts.EMBEDDINGS,
        {m["kind"]: m for m in (dataset, backbone)},
        views=config.backbone_views,
        embedding_size=backbone["embedding_size"],
        crop_side=crop_side,
        image_shape=[crop_side, crop_side, 3] if crop_side else dataset["image_shape"],
        backbone={name: backbone[name] for name in OF_BACKBONE if name in backbone},
    )


def open_directory(path, asked):
    """The directory, new, or with what an earlier call for the same has left there."""
    try:
        there = json.loads(Path(path, ASKED).read_text())
    except (OSError, ValueError):
        there = None
    if there != asked:
        artifacts.start(path)
        artifacts.write_json(Path(path, ASKED), asked)
    return Path(path)
