"""One row for each image of a table: repeated rows go, labels of several annotators are joined."""

import os

import numpy as np
import pandas as pd

from trainer import storage
from trainer.errors import InputError

IMAGE = ["image", "test", "trusted"]  # an image has one label in each part of the data


def one_row_per_image(files, annotator_column):
    """Joins the rows of an image in each part of the data.

    Args:
      files: `pandas.DataFrame` with the columns path, label, clean_label, test, trusted and
        annotator.
      annotator_column: As in `trainer.config.DataConfig`; "" if there is none.

    Returns:
      The table without annotators, in the order of the first row of each image, and facts for the
      manifest.

    Raises:
      InputError: An image has several labels, and nothing says who gave them.
    """
    places = [p if storage.is_remote(p) else os.path.abspath(p) for p in files.path]
    files = files.assign(image=pd.Series(places, files.index, dtype="str"))
    once = files.drop_duplicates([*IMAGE, "label", "clean_label", "annotator"])
    facts = {"repeated_rows": len(files) - len(once)} if len(files) > len(once) else {}
    several = once[once.duplicated(IMAGE, keep=False)]
    joined = once.drop_duplicates(IMAGE)
    if len(several):
        check(several, annotator_column)
        labels, ties = majority(several)
        places = pd.MultiIndex.from_frame(joined[IMAGE])
        joined = joined.assign(label=labels.reindex(places).array)
        joined["label"] = joined.label.where(joined.label.notna(), once.label)
        facts |= {"images_of_several_annotators": len(labels), "ties_of_annotators": ties}
        facts |= {"annotators_joined_by": "majority vote"}
        print(
            f"the labels of several annotators of {len(labels)} images are joined by majority vote;"
            f" {ties} ties go to the class with more votes in all"
        )
    if "repeated_rows" in facts:
        print(f"{facts['repeated_rows']} rows repeat an image with its label; each counts once")
    return joined.drop(columns=["image", "annotator"]).reset_index(drop=True), facts


def check(several, annotator_column):
    """Raises InputError unless rows of one image are of several annotators, and of one truth."""
    truths = several.groupby(IMAGE, sort=False).clean_label.nunique()
    if (truths > 1).any():
        several = several.set_index(IMAGE).loc[truths.index[truths > 1]].reset_index()
        refuse(several, several.clean_label, "must have one true label for each image")
    if not annotator_column:
        rule = "must have one label for each image; --annotator_column names the column of who"
        refuse(several, several.label, f"{rule} gave them, and joins them")
    twice = several[several.duplicated([*IMAGE, "annotator"], keep=False)]
    if len(twice):
        rule = f"must name in column {annotator_column} who gave each label, once for each image"
        refuse(twice, twice.label, rule)


def refuse(rows, labels, rule):
    first = labels[rows.image == rows.image.iloc[0]].unique()
    received = f"{rows.path.iloc[0]} with {' and '.join(first)}"
    raise InputError("--data", f"{rule}; {rows.image.nunique()} such in all", received)


def majority(several):
    """The label that most rows of an image have, of equal ones that with more rows in all.

    Returns:
      `pandas.Series` of labels by `IMAGE`, and the number of ties.
    """
    from cleanlab.multiannotator import get_majority_vote_label  # takes seconds

    codes, names = pd.factorize(several.label, sort=True)
    numbers = several.groupby(IMAGE).cumcount()
    votes = several[IMAGE].assign(code=codes, number=numbers)
    votes = votes.pivot(index=IMAGE, columns="number", values="code")
    # A strict order of the classes: the library would break ties at random.
    order = np.bincount(codes) / len(codes) - 1e-9 * np.arange(len(names))
    order = np.tile(order, (len(votes), 1))
    found = get_majority_vote_label(votes.to_numpy(float), order, verbose=False)
    counts = several.groupby([*IMAGE, "label"]).size()
    most = counts == counts.groupby(IMAGE).transform("max")
    ties = (most.groupby(IMAGE).sum() > 1).sum()
    return pd.Series(names[found], votes.index), int(ties)
