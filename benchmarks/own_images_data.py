"""Data of `benchmarks.own_images`: embedded once, with subsets and several kinds of label noise.

<root>/images/<images>[-<seed>]/     images.csv (path, label) and prepared_dataset
<root>/images/<images>[-<seed>]/<sides>/  backbone and embeddings of images of these sides; those of
                                     a subset are rows of those of all images
<root>/labels/<images>-<seed>/       probe_split, and <noise>/noisy_labels
"""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from benchmarks.harness import PAIRS
from trainer import artifacts, local_run
from trainer.data import probe, records, request
from trainer.data.noise import injection
from trainer.data.noise.transition import realised_transition
from trainer.errors import InputError

OF_MANIFEST = ("schema_version", "kind", "made_by", "id", "parents", "files")
NAMES = (artifacts.PREPARED_DATASET, artifacts.BACKBONE, artifacts.EMBEDDINGS)


class Data:
    """The images with their true labels, and what is made of them when it is asked for.

    Args:
      root: Directory for it.
      files: `trainer.settings.data.DataSettings`: table, test images, columns, trusted images.
    """

    def __init__(self, root, files):
        self.root, self.files = root, files
        table = pd.read_csv(files.data, dtype="str", keep_default_na=False)
        for column in ("path", files.clean_label_column):
            if column not in table:
                raise InputError("--data", f"must have a column {column}", files.data)
        folder = os.path.dirname(files.data)
        table["path"] = [os.path.join(folder, path) for path in table.path]
        if table.path.duplicated().any():
            twice = table.path[table.path.duplicated()].iloc[0]
            raise InputError("--data", "must name each image once", twice)
        self.table, self.size = table.set_index("path"), len(table)
        self.clean = self.table[files.clean_label_column]

    def check(self, noises, sizes):
        """Raises InputError for noise, or a number of images, that the data do not have."""
        low = (self.files.probe_per_class + 1) * self.clean.nunique()  # others than trusted ones
        for size in sizes:
            if not size.isdigit() or not low <= int(size) <= self.size:
                raise InputError("--images", f"must be from {low} to {self.size}", size)
        for noise in set(noises) - set(self.table):
            _, kind, ratio = request.parse(f"csv_{noise}")
            file = self.noise_file(kind)
            request.check("csv", kind, ratio, dataclasses.replace(self.files, noise_file=file))

    def noise_file(self, kind):
        """The file that a kind of noise needs: the given one, or the pairs of CIFAR-10."""
        pairs, given = self.root / "pairs.json", self.files.noise_file
        if kind != "asymmetric" or given:
            return given if kind in request.NOISE_FILES else ""
        if not {*PAIRS, *PAIRS.values()} <= {*self.clean}:
            rule = "must name a JSON map of class names, for classes other than CIFAR-10's"
            raise InputError("--noise_file", rule, given)
        self.root.mkdir(exist_ok=True)
        artifacts.write_json(pairs, PAIRS)
        return str(pairs)

    def linked(self, root, config, images, noise, seed):
        """Makes the directory of a run, `root`, with links to the artifacts that it reads."""
        source = self.embedded(config, *(() if images == self.size else (images, seed)))
        labels = self.root / "labels" / f"{images}-{seed}"
        dataset = source / artifacts.PREPARED_DATASET
        probe_split, noisy = labels / artifacts.PROBE_SPLIT, labels / noise / artifacts.NOISY_LABELS
        if not is_there(probe_split):
            probe.split(dataset, probe_split, self.files.probe_per_class, seed)
        if not is_there(noisy):
            self.write_noisy_labels(dataset, noisy, noise, seed)
        link(root, *(source / name for name in NAMES), probe_split, noisy)
        return root

    def embedded(self, config, *subset):
        """The directory with dataset, backbone and embeddings of all images, or of a subset.

        Args:
          config: `trainer.settings.training.TrainSettings`.
          *subset: Number of images and seed.
        """
        place = self.root / "images" / "-".join(map(str, subset or (self.size,)))
        dataset = place / artifacts.PREPARED_DATASET
        tuned = f"-{config.finetune_image_size}" if config.finetune else ""
        side = place / f"{config.backbone_image_size}{tuned}"
        if not is_there(dataset):
            place.mkdir(parents=True, exist_ok=True)
            self.prepare(place, self.drawn(*subset) if subset else self.clean)
        if is_there(side / artifacts.EMBEDDINGS):
            return side
        link(side, dataset)
        if not subset:
            local_run.fetch_backbone(side, config)
            local_run.embed(side, config, self.files)
            return side
        of_all = self.embedded(config)
        link(side, of_all / artifacts.BACKBONE)
        copy_embeddings(of_all, side)
        return side

    def drawn(self, images, seed):
        """The true labels of a subset with as many of each class, by path."""
        return train_test_split(
            self.clean, train_size=images, stratify=self.clean, random_state=seed
        )[0]

    def prepare(self, place, clean):
        """Writes a prepared dataset of the images in `clean`, labels by path."""
        table = place / "images.csv"
        clean.rename("label").to_csv(table, index_label="path")
        columns = {"label_column": "label", "clean_label_column": "label"}
        files = dataclasses.replace(self.files, data=str(table), noise_file="", **columns)
        records.prepare("csv", place / artifacts.PREPARED_DATASET, files)

    def write_noisy_labels(self, dataset_path, output_path, noise, seed):
        """Adds noise to the true labels, or takes a column of the table."""
        if noise not in self.table:
            _, kind, ratio = request.parse(f"csv_{noise}")
            file = self.noise_file(kind)
            injection.inject(dataset_path, output_path, kind, ratio, seed, noise_file=file)
            return
        dataset, clean = (
            records.read_manifest(dataset_path),
            records.read_clean_labels(dataset_path),
        )
        names = dataset["class_names"]
        column = self.table[noise].loc[records.read_paths(dataset_path, "train")]
        if unknown := sorted({*column} - {*names}):
            raise InputError("--noise", f"must be of the {len(names)} true classes", unknown[0])
        given = column.map({name: i for i, name in enumerate(names)}).to_numpy(np.int32)
        transition = realised_transition(clean, given, len(names))
        facts = {"noise": noise, "noise_ratio": 0.0, "seed": seed}
        facts["wrong_labels"] = float(np.mean(given != clean))
        with artifacts.writing(output_path) as directory:
            np.save(directory / "labels.npy", given)
            np.save(directory / "transition.npy", transition)
            np.save(directory / "realised.npy", transition)
            parents = {artifacts.PREPARED_DATASET: dataset}
            artifacts.finish(directory, artifacts.NOISY_LABELS, parents, **facts)


def copy_embeddings(of_all, place):
    """Writes the embeddings of a subset in `place`, rows of those in `of_all`."""
    dataset_path = place / artifacts.PREPARED_DATASET
    all_paths = records.read_paths(of_all / artifacts.PREPARED_DATASET, "train")
    ids = {path: id for id, path in enumerate(all_paths)}
    chosen = [ids[path] for path in records.read_paths(dataset_path, "train")]
    source = of_all / artifacts.EMBEDDINGS
    manifest = artifacts.read(source, artifacts.EMBEDDINGS)
    facts = {name: value for name, value in manifest.items() if name not in OF_MANIFEST}
    parents = {
        artifacts.PREPARED_DATASET: records.read_manifest(dataset_path),
        artifacts.BACKBONE: artifacts.read(of_all / artifacts.BACKBONE, artifacts.BACKBONE),
    }
    with artifacts.writing(place / artifacts.EMBEDDINGS) as directory:
        np.save(directory / "train.npy", np.load(source / "train.npy", mmap_mode="r")[chosen])
        np.save(directory / "test.npy", np.load(source / "test.npy"))
        artifacts.finish(directory, artifacts.EMBEDDINGS, parents, **facts)


def is_there(path):
    """Whether a whole artifact is in a directory."""
    return (path / artifacts.MANIFEST).is_file()


def link(root, *targets):
    """Links to directories in the directory `root`, by their names."""
    root.mkdir(parents=True, exist_ok=True)
    for target in targets:
        if not (root / target.name).is_symlink():
            (root / target.name).symlink_to(Path(target).resolve())
