"""A user's own images: folders with a class each, or a table that names files and labels.

Every file is decoded once before anything is written; `image_check` says what is stored of it. The
files are rows of a table, as an object for each would cost ten times the memory:

    path, label, clean_label (empty where the truth is not known), trusted, test
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from trainer import storage
from trainer.data.sources import folders
from trainer.data.sources.image_check import check_all, in_parallel, stored
from trainer.data.sources.source import Source
from trainer.errors import InputError

YES, NO = ("1", "true", "yes"), ("0", "false", "no", "")
TEST_SHARE = 0.2  # held out where there is no test set


def image_folder(settings):
    """Images in class folders under `settings.data`, or under splits such as train/ and test/."""
    found, more = folders.data_folder(settings), folders.more_folders(settings)
    source = from_files([*found.parts, *more.parts], settings)
    return found.added_to(more.added_to(source))


def table(settings):
    """Images that a table names: CSV with a header, or JSON lines.

    Columns are path (relative to the table, or in storage), `settings.label_column`, and if there
    are such, split (train or test), trusted (1 or 0) and `settings.clean_label_column`.
    """
    file = Path(storage.fetched(settings.data, "--data"))
    rows = read_rows(file)
    clean_label = settings.clean_label_column
    for column in ("path", settings.label_column, clean_label or "path"):
        if column not in rows:
            rule = f"must have a column {column}; it has {', '.join(rows) or 'none'}"
            raise InputError("--data", rule, str(file))
    no_column = pd.Series("", rows.index)
    files = pd.DataFrame(
        {
            "path": places(rows.path, os.path.dirname(settings.data)),
            "label": rows[settings.label_column],
            "clean_label": rows[clean_label] if clean_label else no_column,
            "trusted": flags(rows.get("trusted", no_column).str.lower(), YES, NO),
            "test": flags(rows.get("split", no_column), ("test",), ("train", "")),
        }
    )
    empty = (rows.path == "") | (files.label == "")
    if empty.any():
        rule = f"must have path and {settings.label_column} in each row"
        raise InputError("--data", rule, f"row {empty.idxmax() + 1} of {file}")
    trusted = files.trusted & (files.clean_label == "")
    files["clean_label"] = files.clean_label.where(~trusted, files.label)
    remote = [path for path in files.path if storage.is_remote(path)]
    if remote and not settings.beam_runner:
        storage.fetch(remote)
        files["path"] = [str(storage.local(path)) for path in files.path]
    more = folders.more_folders(settings)
    return more.added_to(from_files([files, *more.parts], settings))


def places(paths, root):
    return [path if storage.is_remote(path) else os.path.join(root, path) for path in paths]


def read_rows(file):
    """The rows of a table; all values are strings, empty ones too."""
    try:
        if file.suffix in (".jsonl", ".ndjson"):
            rows = pd.read_json(file, lines=True, engine="pyarrow", dtype_backend="pyarrow")
            return rows.astype("str").fillna("")
        return pd.read_csv(file, dtype="str", keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        rule = f"must be a CSV file or JSON lines ({error})"
        raise InputError("--data", rule, str(file)) from error


def flags(column, yes, no):
    """Which values of a column are among `yes`; the others must be among `no`."""
    unknown = column[~column.isin([*yes, *no])]
    if len(unknown):
        rule = f"must have {yes[0]} or {no[0]} in column {column.name}"
        raise InputError("--data", rule, unknown.iloc[0])
    return column.isin(yes)


def from_files(parts, settings):
    """The source of these files; the classes are the labels of the training examples."""
    files = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
    given = files.label[~files.test & ~files.trusted]
    names = sorted(given.unique())
    if len(names) < 2:
        rule = f"must have images of two classes or more; it has {len(given)} of {len(names)}"
        raise InputError("--data", rule, settings.data)
    files["label"] = class_numbers(files, "label", names)
    files["clean_label"] = class_numbers(files, "clean_label", names)
    files = files.join(checked(files.path, settings))
    every = files
    files, bad = without_bad_images(every, settings.bad_images)
    check_emptied(every, files, names)
    named = files.test.any()
    if not named:
        files["test"] = held_out(files)
    files, repeated = without_repeated_images(files)
    train, test, changed = files[~files.test], files[files.test], files[files.converted != ""]
    known = test.clean_label >= 0
    trusted, clean = np.flatnonzero(train.trusted), train.clean_label.to_numpy(np.int32)
    sides = files[["height", "width"]].drop_duplicates().to_numpy().tolist()
    return Source(
        class_names=tuple(names),
        image_shape=(*(sides[0] if len(sides) == 1 else (None, None)), 3),
        splits={
            "train": Files(train.path, train.label, train.digest),
            "test": Files(test.path, test.label.where(~known, test.clean_label), test.digest),
        },
        size=len(files),
        test_labels_are_clean=bool(named or known.all()),
        clean_labels=clean if clean.max() >= 0 else None,
        trusted_ids=trusted if len(trusted) else None,
        paths={"train": train.path, "test": test.path},
        left_out=(*bad, *repeated),
        converted=tuple(changed[["path", "converted"]].itertuples(index=False, name=None)),
    )


def checked(paths, settings):
    """What is known of each file from its content."""
    if not settings.beam_runner:
        return check_all(paths)
    from trainer.data import beam  # takes seconds to import

    return beam.check_all(paths, settings)


def class_numbers(files, column, names):
    """The labels of a column as positions in `names`, -1 for an empty one."""
    numbers = pd.Index(names).get_indexer(files[column]).astype(np.int32)
    unknown = np.flatnonzero((numbers < 0) & (files[column] != ""))
    if len(unknown):
        path, label = files.loc[unknown[0], ["path", column]]
        rule = f"must be a class of the training examples ({', '.join(names[:20])})"
        raise InputError(f"label of {path}", rule, label)
    return numbers


def without_bad_images(files, bad_images):
    """Leaves out files that cannot be trained on, or raises InputError, as `bad_images` says.

    Returns:
      The files that stay, and (path, reason) of the others.
    """
    bad = files[files.fault != ""]
    if len(bad) and bad_images == "fail":
        path, fault = bad.iloc[0][["path", "fault"]]
        rule = f"{fault}; {len(bad)} such in all; --bad_images=skip leaves them out"
        raise InputError("image", rule, path)
    kept = files.drop(index=bad.index) if len(bad) else files
    return kept.drop(columns="fault"), list(zip(bad.path, bad.fault))


def check_emptied(every, files, names):
    """Raises InputError where bad images were all of a class, or all that is trusted or tested."""
    lost = every.drop(index=files.index)
    classes = [of[~of.test & ~of.trusted].label for of in (lost, files)]
    gone = [f"class {names[number]}" for number in sorted({*classes[0]} - {*classes[1]})]
    flags = ("trusted", "test")
    gone += [f"--{flag}" for flag in flags if lost[flag].any() and not files[flag].any()]
    if gone:
        rule = f"must leave some images of {', '.join(gone[:20])}; mend these, or leave them out"
        raise InputError("--bad_images", rule, "skip")


def without_repeated_images(files):
    """Leaves out of training what is tested on, or among the trusted, as well.

    Returns:
      The files that stay, and (path, reason) of the others.
    """
    repeated, reasons = pd.Series(False, files.index), []
    for kept in (files.test, files.trusted & ~files.test):
        twins = files[kept].drop_duplicates("digest").set_index("digest").path
        again = ~kept & ~files.test & ~repeated & files.digest.isin(twins.index)
        reasons += [
            (path, f"the same image as {twins[digest]}")
            for path, digest in files.loc[again, ["path", "digest"]].itertuples(index=False)
        ]
        repeated |= again
    return files[~repeated] if reasons else files, reasons


def held_out(files):
    """Which files make the test: a stratified fifth, always the same, of those not trusted."""
    from sklearn.model_selection import train_test_split

    candidates = files.label[~files.trusted]
    try:
        _, test = train_test_split(
            candidates, test_size=TEST_SHARE, stratify=candidates, random_state=0
        )
    except ValueError as error:
        rule = f"must be given where no fifth of every class can be held out ({error})"
        raise InputError("--test", rule, "") from error
    return files.index.isin(test.index)


@dataclass(frozen=True)
class Files:
    """(content, label) of each file, in order.

    Attributes:
      paths: (N,) `pandas.Series`.
      labels: (N,) `pandas.Series`.
      digests: (N,) `pandas.Series`, of `trainer.data.sources.image_check.digest`.
    """

    paths: pd.Series
    labels: pd.Series
    digests: pd.Series

    def __len__(self):
        return len(self.paths)

    def __iter__(self):
        labels = iter(self.labels)
        for contents in in_parallel(stored, self.paths):
            for content in contents:
                yield content, int(next(labels))
