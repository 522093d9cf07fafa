"""A reviewer's decisions on labels: the table decisions.csv, which a report saves.

    id           of the example in the prepared dataset
    path         of its file, for people
    given_label  the given label, for people
    decision     keep (the given label), relabel, drop (not any class), unsure (no effect)
    label        for relabel: the true label
    run          identity of the run, see `trainer.audit.review.run_identity`
    dataset      id of the prepared dataset

Rows without a decision have no effect, so that label_issues.csv is such a table as well.
"""

import numpy as np
import pandas as pd

from trainer.errors import InputError, counted, listed

FLAG = "--decisions"
COLUMNS = ["id", "path", "given_label", "decision", "label", "run", "dataset"]
NEEDED = ["id", "decision", "label", "run", "dataset"]
KEEP, RELABEL, DROP, UNSURE = DECISIONS = ("keep", "relabel", "drop", "unsure")
DELIMITERS = ",;\t|"


def read(file):
    """The rows of a file that have a decision, one for each id, strings but for the id.

    Raises:
      InputError: It is no such table, has no decision, or two that differ for one id.
    """
    rows = table(file)
    for name in ("decision", "run", "dataset"):
        rows[name] = rows[name].str.strip()
    rows = rows[(rows.decision != "") | (rows.label != "")]
    wrong = rows[~rows.decision.isin(DECISIONS)]
    if len(wrong):
        row = wrong.iloc[0]
        rule = f"must have {', '.join(DECISIONS)} in column decision"
        raise InputError(FLAG, rule, f"{row.decision} for id {row.id} in {file}")
    if not (rows.decision != UNSURE).any():
        rule = "must have a decision: keep, relabel or drop in column decision"
        received = f"{file}, with {len(rows)} unsure and no other decision"
        raise InputError(FLAG, rule, received)
    rows = rows.assign(
        id=numbers(rows.id, file), label=rows.label.where(rows.decision == RELABEL, "")
    )
    rows = rows.drop_duplicates(["id", "decision", "label"], keep="last")
    twice = rows.id[rows.id.duplicated()]
    if len(twice):
        raise InputError(FLAG, "must have one decision for each id", f"two for id {twice.iloc[0]}")
    return rows.reset_index(drop=True)


def numbers(ids, file):
    """The column id as int64."""
    found = pd.to_numeric(ids, errors="coerce")
    wrong = ids[~((found >= 0) & (found < 2**53) & (found % 1 == 0))]
    if len(wrong):
        rule = "must have whole numbers in column id"
        raise InputError(FLAG, rule, f"{wrong.iloc[0]} in {file}")
    return found.astype("int64")


def table(file):
    """All rows of a file, strings, with COLUMNS; those that are for people may be missing."""
    try:
        with open(file, encoding="utf-8-sig", newline="") as lines:
            header = lines.readline()
        delimiter = max(DELIMITERS, key=header.count)
        as_text = {"dtype": "str", "keep_default_na": False, "encoding": "utf-8-sig"}
        rows = pd.read_csv(file, sep=delimiter, index_col=False, **as_text)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        rule = f"must be the CSV file that a report saves ({reason})"
        raise InputError(FLAG, rule, str(file)) from None
    missing = [name for name in NEEDED if name not in rows]
    if missing:
        rule = f"must have the columns {', '.join(COLUMNS)}; {', '.join(missing)} are missing"
        raise InputError(FLAG, rule, f"{file} with {listed(list(rows))}")
    return rows.reindex(columns=COLUMNS, fill_value="")


def write(rows, file):
    """Writes a table of decisions."""
    rows[COLUMNS].to_csv(file, index=False)


def merged(earlier, rows):
    """All decisions, where a new one replaces an earlier one on the same id.

    Args:
      earlier: Decisions of the earlier rounds, or None.
      rows: New ones.

    Returns:
      The decisions by ascending id, and those of `earlier` that a different one replaces.
    """
    if earlier is None:
        return rows.sort_values("id", ignore_index=True), rows[:0]
    both = earlier.merge(rows, on="id", suffixes=("", "_new"))
    same = (both.decision == both.decision_new) & (both.label == both.label_new)
    everything = pd.concat([earlier, rows]).drop_duplicates("id", keep="last")
    replaced = earlier[earlier.id.isin(both.id[~same])]
    return everything.sort_values("id", ignore_index=True), replaced


def check(rows, dataset, audited, labels):
    """Raises InputError for decisions that do not fit a run.

    Args:
      rows: As from `read`.
      dataset: Manifest of the prepared dataset.
      audited: int64, ids of the examples that the run has audited; ids of test continue those of
        train.
      labels: int32 (N,), given labels of the training examples by id.
    """
    unknown = rows[~rows.id.isin(audited)]
    if len(unknown):
        rule = f"must have ids of the {len(audited)} labels that the run has audited"
        raise InputError(FLAG, rule, f"id {unknown.id.iloc[0]}")
    names = dataset["class_names"]
    relabelled = rows[rows.decision == RELABEL]
    wrong = relabelled[~relabelled.label.isin(names)]
    if len(wrong):
        row = wrong.iloc[0]
        rule = f"must have one of the classes in column label of a relabel: {listed(names)}"
        raise InputError(FLAG, rule, f"{row.label or 'no label'} for id {row.id}")
    reviewed, dropped = applied(rows, names, labels)
    trained = audited[audited < len(labels)]
    if np.isin(trained, rows.id[rows.decision != UNSURE]).all():
        rule = "must leave a training label for the next audit; say unsure of one of them"
        raise InputError(FLAG, rule, f"decisions on all {counted(len(trained), 'training label')}")
    left = set(reviewed[np.setdiff1d(trained, dropped)])
    gone = [names[c] for c in sorted(set(labels[trained]) - left)]
    if gone:
        rule = "must leave an image to each class; keep one, or train without the class"
        raise InputError(FLAG, rule, f"none left of {listed(gone)}")


def applied(rows, class_names, labels):
    """The training labels after the decisions, int32 (N,) by id, and the dropped ids, int64.

    Decisions on test examples, whose ids are N or above, are left out.
    """
    rows = rows[rows.id < len(labels)]
    numbers = {name: number for number, name in enumerate(class_names)}
    relabelled = rows[rows.decision == RELABEL]
    labels = labels.copy()
    labels[relabelled.id] = [numbers[name] for name in relabelled.label]
    return labels, rows.id[rows.decision == DROP].to_numpy()
