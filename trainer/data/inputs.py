"""Checks the input of a run before anything is written: paths, tables, classes, trusted images.

Images are counted but not decoded, so the check of thousands takes a second.
"""

import contextlib
import dataclasses
import hashlib
import io
import os
from pathlib import Path

import numpy as np

import trainer
from trainer import storage
from trainer.data import sources
from trainer.errors import InputError
from trainer.settings.data import WEBVISION_RELEASE

DIRECTORIES = ("trusted", "test")
APART = (
    ("trusted", "data", "must hold images whose labels are true"),
    ("test", "data", "must hold images to test on that are not trained on"),
    ("test", "trusted", "must hold images to test on that are not trained on"),
)
READ = ("data", "trusted", "test", "noise_file", "imagenet_val")
MOST_PUBLISHED = 10**9  # images; of published sets the number is not known before they are read
VIEWS, CHANNELS, FLOAT = 2, 3, 4  # bytes that a batch takes for each pixel: what networks see
FOR_FOLDERS = "--dataset=image_folder takes a directory"


def check(dataset, settings, noise="none", trainings=()):
    """Raises InputError for input that the preparation or a later step would refuse.

    Args:
      dataset: Name of the source.
      settings: `trainer.settings.data.DataSettings`.
      noise: One of `trainer.settings.data.NOISES`.
      trainings: The `trainer.settings.training.TrainSettings` of each training.

    Returns:
      A hash of this code, of paths, sizes and times of all local files, and of paths, sizes and
      checksums of remote ones.
    """
    check_paths(dataset, settings)
    files = [file for file in (getattr(settings, name) for name in READ) if file]
    remote = check_remote(dataset, settings)
    if remote or not sources.kind(dataset).counted_at_once:
        check_trainings(trainings, MOST_PUBLISHED)
        return fingerprint([file for file in files if not storage.is_remote(file)], remote)
    if settings.trusted and os.path.isdir(settings.data):
        from trainer.data.sources import folders

        images = [folders.images_below(path)[0] for path in (settings.trusted, settings.data)]
        check_smaller(*map(len, images), settings.trusted)
    printed = io.StringIO()  # the preparation prints it again
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        source = counted(dataset, settings)
        if settings.trusted:
            check_trusted(source, settings)
        check_noise_file(dataset, source, settings, noise)
        clean = true_labels(source)
        kept = check_probe(source, clean, settings)
    check_trainings(trainings, len(clean) - kept)
    paths = [path for split in source.paths.values() for path in split]
    return fingerprint([*files, *paths])


def check_paths(dataset, settings):
    """Raises InputError for a path that is not there, or a folder in place of a file."""
    for name in READ:
        path = getattr(settings, name)
        if not path or storage.is_remote(path):
            continue
        if not os.path.exists(path):
            raise InputError(f"--{name}", "must exist; there is nothing of this name", path)
        if name in DIRECTORIES or (name, dataset) == ("data", "image_folder"):
            if not os.path.isdir(path):
                raise InputError(f"--{name}", "must be a directory with one for each class", path)
        elif not os.path.isfile(path) and (
            name == "noise_file" or (name, dataset) == ("data", "csv")
        ):
            rule = "must be a file"
            if name == "data" and os.path.isdir(path):
                rule = "must be a table; " + FOR_FOLDERS
            raise InputError(f"--{name}", rule, path)
    for name, other, rule in APART:
        path, taken = getattr(settings, name), getattr(settings, other)
        if path and taken and os.path.realpath(path) == os.path.realpath(taken):
            raise InputError(f"--{name}", f"{rule}; it is the same as --{other}", path)


def check_remote(dataset, settings):
    """`trainer.storage.versions` of all remote paths.

    Raises:
      InputError: A path does not exist, or is a folder instead of a file, or a file instead of a
        folder.
    """
    found = []
    for name in READ:
        path = getattr(settings, name)
        if not storage.is_remote(path):
            continue
        if path == WEBVISION_RELEASE:  # it has two names, and its content never changes
            found.append((path, 0, ""))
            continue
        versions = storage.versions(path, f"--{name}")
        is_file = [place for place, _, _ in versions] == [path.rstrip("/")]
        if is_file and (name in DIRECTORIES or (name, dataset) == ("data", "image_folder")):
            raise InputError(f"--{name}", "must be a directory with one for each class", path)
        if not is_file and (name, dataset) == ("data", "csv"):
            raise InputError("--data", "must be a table; " + FOR_FOLDERS, path)
        found += versions
    return found


def check_trainings(trainings, examples):
    """Raises InputError for a training that needs more examples, or more memory, than there are."""
    from trainer.data import folds

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for training in trainings:
        folds.check_folds(training, examples)
        batch, side = min(training.batch_size, examples), training.image_size
        needed = batch * side**2 * VIEWS * CHANNELS * FLOAT
        if needed > memory:
            rule = f"makes a batch of {batch} take {needed >> 30} GiB and more, of {memory >> 30}"
            rule += " here; a smaller one, or a smaller --batch_size, needs less"
            raise InputError("--image_size", rule, side)


def counted(dataset, settings):
    """The source; its images are counted but not read."""
    from trainer.data.sources import image_check

    settings = dataclasses.replace(settings, beam_runner="", beam_options="")
    with image_check.unread():
        return sources.load(dataset, settings)


def check_trusted(source, settings):
    """Raises InputError where --trusted is empty, or it and --data look swapped."""
    trusted = 0 if source.trusted_ids is None else len(source.trusted_ids)
    if not trusted:
        rule = "must hold images as <class>/<file>; there are none"
        raise InputError("--trusted", rule, settings.trusted)
    check_smaller(trusted, source.size - trusted, settings.trusted)


def check_smaller(trusted, others, path):
    if trusted > others:
        rule = f"must be the smaller one: {trusted:,} images, --data has {others:,}; swap the two"
        raise InputError("--trusted", rule, path)


def check_noise_file(dataset, source, settings, noise):
    from trainer.data.noise import class_maps, matrix_file

    names = list(source.class_names)
    if noise == "human":
        raise InputError("--noise", "human is for cifar10 and cifar100", dataset)
    if noise == "matrix":
        matrix_file.read_matrix(settings.noise_file, names)
    if noise == "asymmetric":
        class_maps.asymmetric_map({"source": dataset, "class_names": names}, settings.noise_file)


def check_probe(source, clean, settings):
    """Raises InputError unless the probe can be taken from the trusted examples.

    Args:
      source: `trainer.data.sources.source.Source`.
      clean: `true_labels` of it.
      settings: `trainer.settings.data.DataSettings`.

    Returns:
      How many examples are not trained on with their given labels.
    """
    from trainer.data import probe

    names = list(source.class_names)
    trusted = np.flatnonzero(clean >= 0) if source.trusted_ids is None else source.trusted_ids
    per_class = settings.probe_per_class
    if settings.probe_dataset_hold_ratio:
        sizes = {"num_examples": {"train": len(clean)}, "class_names": names}
        per_class = probe.share_of_each_class(settings.probe_dataset_hold_ratio, sizes)
    probe.choose(clean[trusted], names, per_class, np.random.default_rng(0))
    return len(names) * per_class if source.trusted_ids is None else len(trusted)


def true_labels(source):
    """True labels of the train split, int (N,), -1 where not known."""
    if source.clean_labels is not None:
        return source.clean_labels
    if source.labels_are_clean:
        return np.array([label for _, label in source.splits["train"]])
    return np.full(len(source.splits["train"]), -1)


def fingerprint(paths, remote=()):
    """A hash of the paths, sizes and times of files, and of all files in directories.

    The hash includes this code, and the result of `check_remote`.
    """
    content = hashlib.sha256()
    for source in sorted(Path(trainer.__file__).parent.rglob("*.py")):
        content.update(source.read_bytes())
    content.update(repr(remote).encode())
    for path in sorted(map(str, paths)):
        for file in sorted(Path(path).rglob("*")) if os.path.isdir(path) else [path]:
            found = os.stat(file) if os.path.exists(file) else os.lstat(file)
            content.update(
                f"{file}\0{found.st_size} {found.st_mtime_ns}\0".encode(errors="replace")
            )
    return content.hexdigest()
