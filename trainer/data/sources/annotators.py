"""One row for each image of a table: drops repeated rows, joins labels of several annotators."""

import contextlib
import os
import warnings

import numpy as np
from etils import epy

from trainer import storage
from trainer.errors import InputError

with epy.lazy_imports():
    import pandas as pd

MOST_CELLS = 20_000_000  # images times annotators, the limit of CROWDLAB here
IMAGE = ["image", "test", "trusted"]  # an image has one label in each part of the data


def one_row_per_image(files, annotator_column):
    """Joins the rows of an image in each part of the data.

    Args:
      files: `pandas.DataFrame` with the columns path, label, clean_label, test, trusted and
        annotator.
      annotator_column: As in `trainer.settings.data.DataSettings`; "" if there is none.

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
        labels, how = consensus(several)
        places = pd.MultiIndex.from_frame(joined[IMAGE])
        joined = joined.assign(label=labels.reindex(places).array)
        joined["label"] = joined.label.where(joined.label.notna(), once.label)
        disputed = int((several.groupby(IMAGE).label.nunique() > 1).sum())
        facts |= {"images_of_several_annotators": len(labels), "disputed_images": disputed}
        facts["annotators_joined_by"] = how
        print(
            f"note: {len(labels)} images have labels of several annotators, who disagree on"
            f" {disputed}; they are joined by {how}"
        )
    if "repeated_rows" in facts:
        print(
            f"note: {facts['repeated_rows']} rows repeat an image with its label; each counts once"
        )
    return joined.drop(columns=["image", "annotator"]).reset_index(drop=True), facts


def check(several, annotator_column):
    """Raises InputError unless rows of one image are of several annotators and one true label."""
    truths = several.groupby(IMAGE, sort=False).clean_label.nunique()
    if (truths > 1).any():
        several = several.set_index(IMAGE).loc[truths.index[truths > 1]].reset_index()
        refuse(several, several.clean_label, "must have one true label for each image")
    if not annotator_column:
        rule = "must have one label for each image; --annotator_column names who gave each label"
        refuse(several, several.label, f"{rule}, and joins an image's labels")
    twice = several[several.duplicated([*IMAGE, "annotator"], keep=False)]
    if len(twice):
        rule = f"must name in column {annotator_column} who gave each label, once for each image"
        refuse(twice, twice.label, rule)


def refuse(rows, labels, rule):
    first = labels[rows.image == rows.image.iloc[0]].unique()
    received = f"{rows.path.iloc[0]} with {' and '.join(first)}"
    raise InputError("--data", f"{rule}; {rows.image.nunique()} such images", received)


def consensus(several):
    """The label of each image of several rows, by CROWDLAB, or else by majority vote.

    CROWDLAB (Goh et al., 2022) weighs annotators by their agreement with each other. It needs a
    model; this one predicts the class frequencies for every image.

    Returns:
      `pandas.Series` of labels by `IMAGE`, and the name of the rule.
    """
    from cleanlab import multiannotator  # takes seconds

    codes, names = pd.factorize(several.label, sort=True)
    votes = several[IMAGE].assign(code=codes, annotator=several.annotator)
    votes["number"] = votes.groupby(IMAGE).cumcount()
    images, annotators = votes.number.eq(0).sum(), votes.annotator.nunique()
    crowd = images * annotators <= MOST_CELLS and len(names) > 1
    column = "annotator" if crowd else "number"
    votes = votes.pivot(index=IMAGE, columns=column, values="code").astype(float)
    # A strict order of the classes, because the library would break ties at random.
    shares = np.bincount(codes) / len(codes) - 1e-9 * np.arange(len(names))
    shares = np.tile(shares / shares.sum(), (len(votes), 1))
    how = "majority vote, ties by which class has more rows"
    found = multiannotator.get_majority_vote_label(votes.to_numpy(), shares, verbose=False)
    if crowd:
        with warnings.catch_warnings(), contextlib.suppress(ValueError):
            warnings.simplefilter("ignore")
            quality = multiannotator.get_label_quality_multiannotator(
                votes.reset_index(drop=True), shares, verbose=False
            )
            found, how = quality["label_quality"].consensus_label.to_numpy(), "CROWDLAB"
    return pd.Series(names[found], votes.index), how
