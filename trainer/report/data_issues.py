"""The section on data issues: copies, leakage, outliers, quality, and noise by class."""

from pathlib import Path

import numpy as np
import pandas as pd

from trainer.audit import data_issues
from trainer.audit.annotators import ANNOTATORS
from trainer.audit.data_issues import noise_table
from trainer.data import records
from trainer.errors import counted
from trainer.report import gallery

PICTURES, SETS, COPIES = 12, 6, 4  # images of an issue; sets of copies, and images of each
OF_COPIES = ("label_conflict", "leakage", "exact_duplicates", "near_duplicate")
COMMON = 0.1  # of all images: above, Datalab takes an issue as the nature of the data
PAIRS, PEOPLE = 10, 20  # of classes; annotators


def section(dataset_path, label_audit_path, found):
    """The content of `data_issues.html.jinja`.

    Args:
      dataset_path: Directory of the prepared dataset.
      label_audit_path: Directory of the label audit.
      found: Entry data_issues of its manifest.

    Returns:
      A dictionary.
    """
    dataset = records.read_manifest(dataset_path)
    table = pd.read_parquet(Path(label_audit_path) / data_issues.TABLE)
    flags = {issue: f"is_{issue}_issue" for issue in data_issues.ISSUE_TYPES}
    counts = {issue: int(table[flag].sum()) for issue, flag in flags.items() if flag in table}
    of_class, of_pair = noise_table.read(label_audit_path)
    return {
        "images": len(table),
        "flagged": int(table[[flags[issue] for issue in counts]].any(axis=1).sum()),
        "found": [
            one_issue(dataset_path, table, issue, count) for issue, count in counts.items() if count
        ],
        "nothing": [in_words(issue) for issue, count in counts.items() if not count],
        "seen": found["seen"],
        "notes": [*found["notes"], *left_out(dataset)],
        "confused": found["confused_classes"],
        "noise": of_class.to_dict("records"),
        "pairs": of_pair.head(PAIRS).to_dict("records"),
        "annotators": annotators(Path(label_audit_path) / ANNOTATORS),
        "thin": of_class.given_label[of_class.thin_evidence == 1].tolist(),
    }


def one_issue(dataset_path, table, issue, count):
    """What the page has on one issue that `count` images have."""
    rows = table[table[f"is_{issue}_issue"] == 1].sort_values(f"{issue}_score", kind="stable")
    rows = rows.assign(shown=rows.groupby("duplicate_set").cumcount() < COPIES)
    if issue in OF_COPIES:
        sets = rows.duplicate_set.drop_duplicates()
        rows = rows[rows.duplicate_set.isin(sets[:SETS]) & rows.shown]
        parts = [rows[rows.duplicate_set == number] for number in sets[:SETS]]
    else:
        parts = [rows.head(PICTURES)]
    return {
        "name": in_words(issue),
        "count": count,
        "fraction": count / len(table),
        "common": count > COMMON * len(table),
        "says": data_issues.ISSUE_TYPES[issue],
        "rows": [cards(dataset_path, part) for part in parts],
        "sets": int(rows.duplicate_set.nunique()) if issue in OF_COPIES else 0,
    }


def annotators(file):
    """The least reliable annotators; none if there are not several."""
    if not file.is_file():
        return []
    rows = pd.read_csv(
        file, dtype={"annotator": "str", "worst_class": "str"}, keep_default_na=False
    )
    return rows.head(PEOPLE).to_dict("records")


def in_words(issue):
    return issue.replace("_", " ")


def cards(dataset_path, rows):
    """The picture of each row, with what is said below it."""
    part = np.where(rows.trusted == 1, "trusted", rows.split)
    return [
        {
            "picture": gallery.thumbnail(file),
            "label": row.given_label,
            "part": part_of_data,
            "path": row.path,
            "file": row.path.split("/")[-1] or f"id {row.id}",
        }
        for row, part_of_data, file in zip(
            rows.itertuples(), part, records.read_encoded(dataset_path, rows.id)
        )
    ]


def left_out(dataset):
    """Copies that the preparation left out, in words."""
    reasons = dataset.get("left_out_reasons", {}).items()
    count = sum(number for reason, number in reasons if reason == "the same image")
    if not count:
        return []
    said = f"{counted(count, 'training image')} left out before: the same file as a test image or a"
    return [f"{said} trusted one; left_out.csv of the prepared dataset has the list"]
