"""Finds images in class folders, and reports the files that it leaves out.

A file that decodes is an image, whatever its name. An image at any depth below a class folder
belongs to the class. Hidden files and files of operating systems are left out; links are followed.
"""

import os
import re
import unicodedata
from dataclasses import dataclass, field, replace

from etils import epy

from trainer import storage
from trainer.data.sources.files import from_files
from trainer.data.sources.image_check import SPECIAL, is_image
from trainer.data.sources.source import SourceKind
from trainer.errors import InputError

with epy.lazy_imports():
    import pandas as pd

# Endings of image files: a file that has one and cannot be decoded is an error.
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".webp"),
    *(".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2"),
)
# Names that macOS, Windows, Synology, QNAP, Linux and Python create, beside those with a dot first.
LITTER = {
    *("__macosx", "icon\r", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin"),
    *("system volume information", "@eadir", "#recycle", "#snapshot", "@recycle", "@tmp"),
    *("@recently-snapshot", "@__thumb", "lost+found", "__pycache__"),
}
# Pillow finds only a preview in these.
RAW = (".dng", ".nef", ".nrw", ".cr2", ".arw", ".orf", ".rw2", ".pef", ".srw")
SPLITS = {
    **{"train": "train", "training": "train", "test": "test", "testing": "test"},
    **{"val": "val", "valid": "val", "validation": "val"},
}
HIDDEN, EMPTY = "is hidden, or left by a system", "is an empty folder"
NO_CLASS = "lies in no class folder"


@dataclass
class Found:
    """The files found in directories.

    Attributes:
      parts: Tables of images, for `trainer.data.sources.files.from_files`.
      left_out: (path, reason) of files that are left out.
      notes: Lines that say how the directories were read.
    """

    parts: list = field(default_factory=list)
    left_out: list = field(default_factory=list)
    notes: list = field(default_factory=list)

    def added_to(self, source):
        """The source of these parts, with the files that were left out."""
        left_out = (*self.left_out, *source.left_out)
        return replace(source, left_out=left_out, notes=(*self.notes, *source.notes))

    def add(self, rows, depth, root, **columns):
        """Adds the images of class folders; returns how many there are.

        Args:
          rows: From `files_below`.
          depth: Position of the class among the names of a row.
          root: The directory, for the notes.
          columns: Columns that are the same for all images, trusted or test.
        """
        self.left_out += [(path, reason) for _, path, reason in rows if reason]
        images = [(names[depth:], path) for names, path, reason in rows if not reason]
        outside = [(path, NO_CLASS) for names, path in images if len(names) < 2]
        self.left_out += outside
        if outside:
            self.notes.append(f"{root}: {count(outside)} in no class folder left out")
        deep = ["/".join(names[:-1]) for names, _ in images if len(names) > 2]
        if deep:
            self.notes.append(f"{root}: {count(deep)} below class folders, such as in {deep[0]}")
        folders = {names[depth] for names, _, why in rows if names[depth + 1 :] or why == EMPTY}
        without = folders - {names[0] for names, _ in images if names[1:]}
        if without := sorted(name for name in without if not hidden(name)):
            self.notes.append(f"{root}: no image in {', '.join(without[:9])}, so no class")
        labelled = sorted(
            (unicodedata.normalize("NFC", names[0]), path) for names, path in images if names[1:]
        )
        files = pd.DataFrame(labelled, columns=["label", "path"], dtype="str")[["path", "label"]]
        clean = files.label if columns.get("trusted") else ""
        flags = {"trusted": False, "test": False} | columns
        self.parts.append(files.assign(clean_label=clean, **flags))
        return len(files)


def image_folder(settings):
    """Images in class folders under `settings.data`, or under splits such as train/ and test/."""
    found, more = data_folder(settings), more_folders(settings)
    source = from_files([*found.parts, *more.parts], settings)
    return found.added_to(more.added_to(source))


FOLDER_SETTINGS = (
    *("data", "trusted", "test", "label_case", "bad_images"),
    *("beam_runner", "beam_options"),
)
KIND = SourceKind(
    image_folder,
    settings=FOLDER_SETTINGS,
    needs_data=True,
    labels_are_noisy=True,
    counted_at_once=True,
)


def data_folder(settings):
    """Images in `settings.data`: <class>/..., or train/<class>/... with test or val beside it."""
    found, root = Found(), directory("--data", settings.data, settings)
    rows = files_below(root, "--data", settings, found.notes)
    rows = with_splits_first(rows, root, found.notes)
    tops = sorted({names[0] for names, _, reason in rows if names[1:] and not reason})
    splits = {name: SPLITS[name.casefold()] for name in tops if name.casefold() in SPLITS}
    if not splits:
        check_like_splits(root, tops)
        labelled = found.add(rows, 0, root)
        check_classes(root, tops, rows, labelled)
        return found
    check_splits(root, tops, splits)
    labelled = {splits.get(names[0]) for names, _, reason in rows if names[2:] and not reason}
    tested = {"test", "val"} if "test" not in labelled and not settings.test else {"test"}
    for name, split in splits.items():
        add_split(found, root, name, split, tested, [row for row in rows if row[0][0] == name])
    others = [row for row in rows if row[0][0] not in splits]
    found.left_out += [(path, reason or NO_CLASS) for _, path, reason in others]
    return found


def with_splits_first(rows, root, notes):
    """Rows of <class>/<split>/... as those of <split>/<class>/..., others as they are.

    Raises:
      InputError: Some images lie in such splits, others beside them.
    """
    images = [names for names, _, reason in rows if names[1:] and not reason]
    inner = [names for names in images if names[2:] and names[1].casefold() in SPLITS]
    found = {SPLITS[names[1].casefold()] for names in inner}
    everywhere = {names[0] for names in inner} == {names[0] for names in images}
    several = len({names[0] for names in images}) > 1
    if not several or not found - {"train"} or not ("train" in found or everywhere):
        return rows
    if len(inner) < len(images):
        outside = min({*images} - {*inner})
        rule = "must hold splits in all class folders or in none; move images to train/<class>"
        received = f"{'/'.join(inner[0][:2])} beside {'/'.join(outside)} in {root}"
        raise InputError("--data", f"{rule} and test/<class>", received)
    notes.append(f"{root}: {' and '.join(sorted(found))} in class folders are splits")
    return [
        ((SPLITS[names[1].casefold()], names[0], *names[2:]), path, reason)
        if names[2:] and names[1].casefold() in SPLITS
        else (names, path, reason)
        for names, path, reason in rows
    ]


def add_split(found, root, name, split, tested, rows):
    """Adds a split, or leaves it out if it is neither trained nor tested on.

    Args:
      found: `Found`.
      root: The data directory.
      name: Name of the split's folder in it.
      split: The split, one of `SPLITS`.
      tested: The splits that are tested on.
      rows: The rows of `files_below` in this folder.
    """
    place = f"{root}/{name}"
    if split != "train" and split not in tested:
        images = [path for _, path, reason in rows if not reason]
        found.left_out += [(path, reason or "is a validation image") for _, path, reason in rows]
        found.notes.append(f"{place}: {count(images)} left out, as there is a test set")
        return
    images = found.add(rows, 1, place, test=split in tested)
    if split == "train" and not images:
        rule = "must hold a folder for each class, with images in it"
        raise InputError("--data", rule, place)
    use = "trained on" if split == "train" else "tested on"
    found.notes.append(f"{place}: {count(found.parts[-1])} {use}")


def check_splits(root, tops, splits):
    """Raises InputError unless all folders are splits, one of them for training."""
    named, others = ", ".join(splits), [name for name in tops if name not in splits]
    if others:
        rule = (
            f"must hold folders of classes, or of splits, not both; if {named} is a class, rename"
            " its folder; if it is a split, move it elsewhere, and name it by --test"
        )
        raise InputError("--data", rule, f"{named} beside {', '.join(others[:9])} in {root}")
    if sorted(splits.values()) != sorted(set(splits.values())):
        raise InputError("--data", "must hold one folder of each split", f"{named} in {root}")
    if "train" not in splits.values():
        raise InputError("--data", "must hold train beside other splits", f"{named} in {root}")


def check_like_splits(root, tops):
    """Raises InputError where folders are named like splits, such as train2017 and val2017."""
    alike = {}
    for top in tops:
        words = [word for word in re.split("[^a-z]+", top.casefold()) if word in SPLITS]
        if words:
            alike[top] = SPLITS[words[0]]
    if "train" in alike.values() and len({*alike.values()}) > 1 and len(tops) - len(alike) < 2:
        names = " and ".join(f"{top} to {split}" for top, split in alike.items())
        rule = f"must name splits train, val and test, and classes otherwise; rename {names}"
        raise InputError("--data", rule, root)


def check_classes(root, tops, rows, labelled):
    """Raises InputError if images are one folder too high or too low."""
    if len(tops) == 1:
        inner = sorted({names[1] for names, _, reason in rows if names[2:] and not reason})
        if inner:
            rule = f"must hold two class folders or more; {root}/{tops[0]} may be the one to give"
            raise InputError("--data", rule, f"{tops[0]} alone, with {', '.join(inner[:9])} in it")
    flat = sum(not reason for _, _, reason in rows)
    if flat and not labelled:
        rule = f"must hold a folder for each class, with images in it; {flat} lie in none"
        raise InputError("--data", rule, str(root))
    for top in tops:
        inner = {names[1] for names, _, why in rows if names[0] == top and names[2:] and not why}
        if len(inner & {*tops} - {top}) > 1:
            rule = "must hold no class folders in a class; move them, or name it by --trusted"
            received = f"{', '.join(sorted(inner)[:9])} in {root}/{top}"
            raise InputError("--data", f"{rule} or --test", received)


def more_folders(settings):
    """Images in --trusted and --test, two directories of class folders."""
    found = Found()
    for name in ("trusted", "test"):
        if path := getattr(settings, name):
            argument = f"--{name}"
            root = directory(argument, path, settings)
            rows = files_below(root, argument, settings, found.notes)
            if not found.add(rows, 0, root, **{name: True}):
                flat = sum(not reason for _, _, reason in rows)
                rule = f"must hold a folder for each class, with images in it; {flat} lie in none"
                raise InputError(argument, rule, str(path))
    return found


def directory(argument, path, settings):
    """A directory on this machine; where Beam reads the images, it stays in storage."""
    if settings.beam_runner and storage.is_remote(path):
        return path.rstrip("/")
    path = str(storage.fetched(path, argument))
    if not os.path.isdir(path):
        raise InputError(argument, "must be a directory", path)
    return path.rstrip("/") or path


def files_below(root, argument, settings, notes):
    """The files below a directory, without those in directories that other flags name.

    Returns:
      (names, path, reason) of each file: the names of its folders below the root and its own name,
      its path, and why it is left out, empty for an image. A folder that is left out is one row.
    """
    given = {f"--{name}": getattr(settings, name) for name in ("data", "trusted", "test")}
    others = {flag: str(given[flag]).rstrip("/") for flag in given if given[flag]}
    others.pop(argument, None)
    if storage.is_remote(root):
        return remote_rows(root, others)
    aside = {os.path.realpath(storage.local(path)): flag for flag, path in others.items()}
    rows = []
    for names, path, reason in walk(root, (), (), aside):
        if not reason:
            check_name(argument, path)
        elif reason.startswith("is given"):
            notes.append(f"{path} is left out of {argument}: it {reason}")
        rows.append((names, path, reason))
    return without_links_to_the_same(rows)


def images_below(root):
    """The images in a directory on this machine, and (path, reason) of files left out."""
    rows = list(walk(root, (), (), {}))
    return (
        [path for _, path, reason in rows if not reason],
        [(path, reason) for _, path, reason in rows if reason],
    )


def walk(folder, names, above, aside):
    """Rows as in `files_below`, in the order of names.

    Args:
      folder: A directory on this machine.
      names: Names of the folders that lead to it.
      above: `identity` of the folders around it, through links as well.
      aside: {path: flag} of directories that other flags name.
    """
    above = (*above, identity(folder))
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        os.stat(os.path.join(folder, "."))  # names may be seen where files may not
    except OSError as error:
        rule = f"must be a directory that can be read ({error.strerror})"
        raise InputError("directory", rule, str(folder)) from error
    if names and not entries:
        yield names, f"{folder}/", EMPTY
    for entry in entries:
        here, is_folder = (*names, entry.name), os.path.isdir(entry.path)
        if hidden(entry.name):
            yield here, entry.path + "/" * is_folder, HIDDEN
        elif not is_folder:
            yield here, entry.path, file_reason(entry.path)
        elif identity(entry.path) in above:
            yield here, f"{entry.path}/", "is a link to a folder that it lies in"
        elif flag := aside.get(os.path.realpath(entry.path)):
            yield here, f"{entry.path}/", f"is given as {flag}"
        else:
            yield from walk(entry.path, here, above, aside)


def identity(path):
    """A key that is equal for two paths of the same file or folder."""
    found = os.stat(path)
    return found.st_dev, found.st_ino


def hidden(name):
    return name.startswith(".") or name.casefold() in LITTER


def file_reason(path):
    """Why a file on this machine is left out; empty if its content or its name is an image's."""
    if not os.path.exists(path):
        return "is a link to nothing"
    if not os.path.isfile(path):
        return SPECIAL
    if path.lower().endswith(RAW):
        return "is raw; save it as JPEG or PNG"
    if path.lower().endswith(SUFFIXES) or is_image(path):
        return ""
    return "is no image" if os.access(path, os.R_OK, effective_ids=True) else "cannot be read"


def remote_rows(root, others):
    """Rows as in `files_below`, of files that stay in remote storage, from their names alone."""
    rows = []
    for path in storage.files(root):
        names, reason = path[len(root) + 1 :].split("/"), ""
        inside = [flag for flag, other in others.items() if path.startswith(f"{other}/")]
        if any(map(hidden, names)):
            reason = HIDDEN
        elif inside and not root.startswith(others[inside[0]]):
            reason = f"is given as {inside[0]}"
        elif not path.lower().endswith(SUFFIXES):
            reason = "is not named as an image"
        rows.append((names, path, reason))
    return rows


def without_links_to_the_same(rows):
    """Leaves out an image that a link leads to again, within the same top folder."""
    first, kept = {}, []
    for names, path, reason in rows:
        if not reason:
            seen = first.setdefault((names[0], *identity(path)), path)
            reason = f"is the same file as {seen}" if seen != path else ""
        kept.append((names, path, reason))
    return kept


def check_name(argument, path):
    """Raises InputError if a name is not UTF-8: no table and no page could hold it."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(argument, "must have names in UTF-8; rename this one", path) from error


def count(rows):
    """Such as "3 images", or "no image"."""
    return f"{len(rows) or 'no'} image{'s' * (len(rows) > 1)}"
