"""A reviewer's decisions on the labels of an audit.

<review>/
  corrected_labels.npy   int32 (N,), by id of the prepared dataset
  clean_manifest.csv     as in `trainer.audit.label_issues`
  manifest.json          decisions: how many there are
"""

import numpy as np
import pandas as pd

from trainer import artifacts
from trainer.audit.corrected import write_labels
from trainer.audit.label_issues import TABLE
from trainer.data import records
from trainer.errors import InputError

COLUMNS = ["id", "decision", "true_label", "audit"]


def review(audit_path, reviewed_file, dataset_path, output_path):
    """Writes the labels that a reviewer decided on, in place of the corrections of an audit.

    Args:
      audit_path: Directory of the label audit.
      reviewed_file: Its label_issues.csv with decisions: in true_label a class, or in decision
        accept, reject or a class. Rows without a decision, or left out, keep the audit's label.
      dataset_path: Directory of the prepared dataset.
      output_path: Directory to write corrected_labels.npy and clean_manifest.csv to.

    Returns:
      How many decisions there are.

    Raises:
      InputError: The table belongs to another audit, or a decision is unknown or ambiguous.
    """
    audit = artifacts.read(audit_path, artifacts.LABEL_AUDIT)
    dataset = records.read_manifest(dataset_path)
    artifacts.check_parent(audit, dataset)
    audited = pd.read_parquet(f"{audit_path}/{TABLE}").set_index("id")
    rows = read_reviewed(reviewed_file, audit, audited)
    numbers = {name: i for i, name in enumerate(dataset["class_names"])}
    corrected = np.load(f"{audit_path}/corrected_labels.npy")
    trusted_ids = np.setdiff1d(np.arange(len(corrected)), audited.index)
    corrected = np.concatenate([corrected, records.read_labels(dataset_path, "test")])
    for row in rows.itertuples():
        corrected[row.id] = numbers[decided_label(row, audited.loc[row.id], numbers)]
    with artifacts.writing(output_path) as directory:
        write_labels(directory, dataset_path, corrected, trusted_ids)
        parents = {artifacts.LABEL_AUDIT: audit}
        artifacts.finish(directory, artifacts.REVIEW, parents, decisions=len(rows))
    return len(rows)


def decided_label(row, audited, classes):
    """The class that a reviewer decides on, from a row with true_label and decision."""
    verbs = {"accept": audited.suggested_label, "reject": audited.given_label}
    received = f"{row.true_label or row.decision} for id {row.id}"
    if row.true_label:
        if row.true_label not in classes:
            raise InputError("--review", "true_label must be one of the classes", received)
        return row.true_label
    if row.decision in verbs and row.decision in classes:
        rule = f"decision {row.decision} is also a class; write the true label into true_label"
        raise InputError("--review", rule, received)
    if row.decision not in verbs and row.decision not in classes:
        rule = "decision must be accept, reject or one of the classes"
        raise InputError("--review", rule, received)
    return verbs.get(row.decision, row.decision)


def read_reviewed(file, audit, audited):
    """The rows with a decision: id, decision and true_label, of this audit."""
    columns = "columns id, audit, and decision or true_label, as decisions.csv of the report"
    try:
        rows = pd.read_csv(file, dtype="str", keep_default_na=False, encoding="utf-8-sig")
        if not {"id", "audit"} <= set(rows) or not {"decision", "true_label"} & set(rows):
            raise InputError("--review", f"must have {columns}", f"{file} with {', '.join(rows)}")
        rows = rows.reindex(columns=COLUMNS, fill_value="").map(str.strip)
        rows = rows[(rows != "").any(axis=1)].astype({"id": int})
    except (OSError, ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        rule = f"must be a table with {columns} ({error})"
        raise InputError("--review", rule, str(file)) from None
    others = rows[(rows.audit != audit["audit"]) | ~rows.id.isin(audited.index)]
    if len(others):
        rule = f"must be of this audit, {audit['audit']}; its report saves such a file"
        received = f"audit {others.audit.iloc[0]}, id {others.id.iloc[0]}"
        raise InputError("--review", rule, received)
    rows = rows[(rows.decision != "") | (rows.true_label != "")]
    twice = rows[rows.id.duplicated()]
    if len(twice):
        raise InputError("--review", "must have one decision for each id", int(twice.id.iloc[0]))
    return rows
