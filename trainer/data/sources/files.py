"""A user's own images, found by `trainer.data.sources.folders` or named by a table.

Every file is decoded once before anything is written; `image_check` decides what is stored. The
files are rows of a table, because an object for each would need ten times the memory:

    path, label, clean_label (empty where it is not known), trusted, test
"""

from dataclasses import dataclass

import numpy as np
from etils import epy

from trainer.data.sources import class_names
from trainer.data.sources.image_check import check_all, in_parallel, stored
from trainer.data.sources.source import Source
from trainer.errors import InputError, listed

with epy.lazy_imports():
    import pandas as pd

TEST_SHARE = 0.2  # held out where there is no test set
FEWEST = 5  # images of a class that a fifth can be held out from


def from_files(parts, settings, noisy_test=False, left_out=(), facts=None):
    """The source of these files; the classes are the labels of the training examples.

    Args:
      parts: Tables of files, as above.
      settings: `trainer.settings.data.DataSettings`.
      noisy_test: Whether an earlier preparation held out the test images from noisy ones.
      left_out: (path, reason) of files that are not in `parts`.
      facts: Entries of the manifest.
    """
    files = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
    files = class_names.unified(files, settings.label_case)
    given = files.label[~files.test & ~files.trusted]
    names = class_names.natural_order(given.unique())
    if len(names) < 2:
        rule = "must have images of two classes or more to train on; it has"
        rule += f" {len(given)}, of {listed(names) or 'none'}"
        raise InputError("--data", rule, settings.data)
    files["label"] = class_numbers(files, "label", names)
    files["clean_label"] = class_numbers(files, "clean_label", names)
    files = files.join(checked(files.path, settings))
    every = files
    files, bad = without_bad_images(every, settings.bad_images)
    check_emptied(every, files, names)
    duplicates = repeated_images(files, names)
    files, repeated = without_repeated_images(files)
    named, notes = files.test.any(), ()
    if not named:
        files["test"], notes = held_out(files, names)
        files, again = without_repeated_images(files)
        repeated += again
    check_trained(every, files, names, settings)
    counts = dict(zip(names, files.label.value_counts().reindex(range(len(names)), fill_value=0)))
    notes = (*notes, *class_names.doubtful(counts))
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
        test_labels_are_clean=bool((named and not noisy_test) or known.all()),
        clean_labels=clean if clean.max() >= 0 else None,
        trusted_ids=trusted if len(trusted) else None,
        paths={"train": train.path, "test": test.path},
        left_out=(*left_out, *bad, *repeated),
        converted=tuple(changed[["path", "converted"]].itertuples(index=False, name=None)),
        notes=notes,
        duplicates=duplicates,
        facts=facts or {},
    )


def checked(paths, settings):
    """Size, digest, fault and conversion of each file, from its content."""
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
        rule = f"must be a class of the training examples ({listed(names)})"
        raise InputError(f"label of {path}", rule, label)
    return numbers


def without_bad_images(files, bad_images):
    """Leaves out files that cannot be used, or raises InputError, as `bad_images` says.

    Returns:
      The files that stay, and (path, reason) of the others.
    """
    bad = files[files.fault != ""]
    if len(bad) and bad_images == "fail":
        path, fault = bad.iloc[0][["path", "fault"]]
        rule = f"{fault}; {len(bad)} such files; --bad_images=skip leaves them out"
        raise InputError("image", rule, path)
    kept = files.drop(index=bad.index) if len(bad) else files
    return kept.drop(columns="fault"), list(zip(bad.path, bad.fault))


def check_emptied(every, files, names):
    """Raises InputError if bad images were all of a class, or all trusted or all test images."""
    lost = every.drop(index=files.index)
    classes = [of[~of.test & ~of.trusted].label for of in (lost, files)]
    gone = [f"class {names[number]}" for number in sorted({*classes[0]} - {*classes[1]})]
    flags = ("trusted", "test")
    gone += [f"--{flag}" for flag in flags if lost[flag].any() and not files[flag].any()]
    if gone:
        rule = f"must leave some images of {listed(gone)}; repair these files, or remove them"
        raise InputError("--bad_images", rule, "skip")


def check_trained(every, files, names, settings):
    """Raises InputError if all images of a class are test images, so that none is trained on."""
    before, after = ({*of.label[~of.test]} for of in (every, files))
    if gone := listed([names[number] for number in sorted(before - after)]):
        rule = f"must leave images to train on; all of {gone} are test images as well"
        flag = "test" if settings.test else "data"
        raise InputError(f"--{flag}", rule, str(getattr(settings, flag)))


def repeated_images(files, names):
    """Files of the same content: a table of image (a number), path, label and part."""
    twins = files[files.duplicated("digest", keep=False)]
    part = np.select([twins.test, twins.trusted], ["test", "trusted"], "train")
    names = np.array(names, object)
    found = pd.DataFrame(
        {
            "image": pd.factorize(twins.digest)[0],
            "path": twins.path,
            "label": names[twins.label.to_numpy()],
            "part": part,
        }
    )
    return found.sort_values("image", kind="stable", ignore_index=True)


def without_repeated_images(files):
    """Leaves out training images that are also test or trusted images.

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


def held_out(files, names):
    """Chooses the test images: a stratified fifth, always the same, of those not trusted.

    A class of few images stays in training whole.

    Returns:
      bool (N,), and notes on what was not held out.
    """
    from sklearn.model_selection import train_test_split

    candidates = files.label[~files.trusted]
    sizes = candidates.value_counts().reindex(range(len(names)), fill_value=0)
    small = listed([f"class {names[c]} has {n}" for c, n in sizes.items() if n < FEWEST])
    if (sizes >= FEWEST).sum() < 2:
        rule = f"must be given: a fifth of two classes or more cannot be held out; {small}"
        raise InputError("--test", rule, "")
    enough = candidates[candidates.map(sizes) >= FEWEST]
    _, test = train_test_split(enough, test_size=TEST_SHARE, stratify=enough, random_state=0)
    note = (
        f"too small to hold out a fifth: {small}; all their images are trained on and none is"
        " tested; --test with some of them measures how well they are learned"
    )
    return files.index.isin(test.index), (note,) if small else ()


@dataclass(frozen=True)
class Files:
    """(content, label) of each file, in order.

    Attributes:
      paths: (N,) `pandas.Series`.
      labels: (N,) `pandas.Series`.
      digests: (N,) `pandas.Series`, of `trainer.data.sources.image_check.digest`.
    """

    paths: "pd.Series"
    labels: "pd.Series"
    digests: "pd.Series"

    def __len__(self):
        return len(self.paths)

    def __iter__(self):
        labels = iter(self.labels)
        for contents in in_parallel(stored, self.paths):
            for content in contents:
                yield content, int(next(labels))
