"""A user's own images: folders with a class each, or a table that names files and labels.

Every file is decoded once before anything is written, and then passes through byte by byte.
"""

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trainer.data.sources.image_check import check_all
from trainer.data.sources.source import Source
from trainer.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png")
YES = ("1", "true", "yes")
TEST_SHARE = 0.2  # held out where there is no test set


@dataclass(frozen=True, slots=True)
class Entry:
    """One image file; `clean_label` is None where the truth is not known."""

    path: str
    label: str
    clean_label: str | None = None
    trusted: bool = False
    test: bool = False


def image_folder(settings):
    """Images as <class>/<file> under `settings.data`, or under train/ and test/ in it."""
    root = directory("--data", settings.data)
    if (root / "train").is_dir() and (root / "test").is_dir():
        entries = [*class_folders(root / "train"), *class_folders(root / "test", test=True)]
    else:
        entries = class_folders(root)
    return from_entries([*entries, *more_folders(settings)], settings)


def table(settings):
    """Images that a table names: CSV with a header, or JSON lines.

    Columns are path (relative to the table), `settings.label_column`, and if there are such, split
    (train or test), trusted (1 or 0) and `settings.clean_label_column`.
    """
    file = Path(settings.data)
    rows = read_rows(file)
    wanted = [settings.label_column, settings.clean_label_column or settings.label_column]
    for column in ("path", *wanted):
        if not rows or column not in rows[0]:
            columns = ", ".join(rows[0]) if rows else "no row"
            raise InputError("--data", f"must have a column {column}; it has {columns}", str(file))
    entries = [entry_of(row, file.parent, settings) for row in rows]
    return from_entries([*entries, *more_folders(settings)], settings)


def entry_of(row, root, settings):
    """The entry of a row; the label of a trusted one is true."""
    if not row["path"] or not row[settings.label_column]:
        rule = f"must have path and {settings.label_column} in each row"
        raise InputError("--data", rule, row)
    label, trusted = row[settings.label_column], str(row.get("trusted")).lower() in YES
    return Entry(
        path=str(root / row["path"]),
        label=label,
        clean_label=row.get(settings.clean_label_column) or (label if trusted else None),
        trusted=trusted,
        test=row.get("split") == "test",
    )


def read_rows(file):
    """The rows of a table as dictionaries."""
    try:
        with open(file, newline="", encoding="utf-8-sig") as stream:
            if file.suffix in (".jsonl", ".ndjson"):
                return [json.loads(line) for line in stream if line.strip()]
            return list(csv.DictReader(stream))
    except (OSError, ValueError) as error:
        rule = f"must be a CSV file or JSON lines ({error})"
        raise InputError("--data", rule, str(file)) from error


def directory(argument, path):
    if not Path(path).is_dir():
        raise InputError(argument, "must be a directory", path)
    return Path(path)


def more_folders(settings):
    """Entries of --trusted and --test, two directories of class folders."""
    if settings.trusted:
        for entry in class_folders(directory("--trusted", settings.trusted)):
            yield replace(entry, clean_label=entry.label, trusted=True)
    if settings.test:
        yield from class_folders(directory("--test", settings.test), test=True)


def class_folders(root, **kind):
    """Entries of <class>/<file>, by name of class and file."""
    return [
        Entry(str(file), folder.name, **kind)
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in SUFFIXES
    ]


def from_entries(entries, settings):
    """The source of these files; the classes are the labels of the training examples."""
    given = [e for e in entries if not e.test and not e.trusted]
    names = sorted({e.label for e in given})
    if len(names) < 2:
        rule = f"must have images of two classes or more; it has {len(given)} of {len(names)}"
        raise InputError("--data", rule, settings.data)
    classes = {name: label for label, name in enumerate(names)}
    for entry in entries:
        for label in (entry.label, entry.clean_label or entry.label):
            if label not in classes:
                rule = f"must be a class of the training examples ({', '.join(names[:20])})"
                raise InputError(f"label of {entry.path}", rule, label)
    entries, checked, left_out = without_bad_images(entries, settings.bad_images)
    if not any(e.test for e in entries):
        entries = hold_out(entries, [classes[e.label] for e in entries])
    entries, repeated = without_repeated_images(entries, checked)
    sizes = {checked[e.path].size for e in entries}
    train = [e for e in entries if not e.test]
    test = [replace(e, label=e.clean_label or e.label) for e in entries if e.test]
    clean = [-1 if e.clean_label is None else classes[e.clean_label] for e in train]
    trusted = np.flatnonzero([e.trusted for e in train])
    return Source(
        class_names=tuple(names),
        image_shape=(*(sizes.pop() if len(sizes) == 1 else (None, None)), 3),
        splits={"train": file_pairs(train, classes), "test": file_pairs(test, classes)},
        clean_labels=np.array(clean, np.int32) if max(clean) >= 0 else None,
        trusted_ids=trusted if len(trusted) else None,
        left_out=(*left_out, *repeated),
    )


def without_bad_images(entries, bad_images):
    """Leaves out files that cannot be trained on, or raises InputError, as `bad_images` says.

    Returns:
      The entries that stay, {path: `Checked`}, and (path, reason) of those left out.
    """
    checked = dict(zip((e.path for e in entries), check_all([e.path for e in entries])))
    bad = [(path, found.fault) for path, found in checked.items() if found.fault]
    if bad and bad_images == "fail":
        rule = f"{bad[0][1]}; {len(bad)} such in all; --bad_images=skip leaves them out"
        raise InputError("image", rule, bad[0][0])
    return [e for e in entries if not checked[e.path].fault], checked, bad


def without_repeated_images(entries, checked):
    """Leaves out of training what is in the test or among the trusted as well.

    Returns:
      The entries that stay, and (path, reason) of those left out.
    """
    kept = {checked[e.path].digest: e for e in entries if e.test or e.trusted}
    twins = {
        e.path: kept[checked[e.path].digest]
        for e in entries
        if not (e.test or e.trusted) and checked[e.path].digest in kept
    }
    reasons = [(path, f"the same image as {twin.path}") for path, twin in twins.items()]
    return [e for e in entries if e.path not in twins], reasons


def file_pairs(entries, classes):
    for entry in entries:
        with open(entry.path, "rb") as file:
            yield file.read(), classes[entry.label]


def hold_out(entries, labels):
    """Marks a stratified fifth as test, always the same; trusted examples stay in training."""
    from sklearn.model_selection import train_test_split

    candidates = np.flatnonzero([not e.trusted for e in entries])
    try:
        _, test = train_test_split(
            candidates,
            test_size=TEST_SHARE,
            stratify=[labels[i] for i in candidates],
            random_state=0,
        )
    except ValueError as error:
        rule = f"must be given where no fifth of every class can be held out ({error})"
        raise InputError("--test", rule, "") from error
    test = set(test.tolist())
    return [replace(e, test=True) if i in test else e for i, e in enumerate(entries)]
