"""Label issues: all examples, the one whose given label is most likely wrong first.

Test examples are among them where their labels may be wrong. The run has not seen them.

<label_audit>/
  label_issues.csv, label_issues.parquet   a row per example; see COLUMNS
  corrected_labels.npy   int32 (N,), by id of the prepared dataset; -1: a reviewer dropped it
  clean_manifest.csv     path, label, split, trusted, label_status: `--dataset=csv` trains on it;
                         only if the images were files
  data_issues.csv, data_issues.parquet, noise_rates.csv   see `trainer.audit.data_issues`
  annotators.csv, consensus_labels.csv   see `trainer.audit.annotators`
  transition.npy         float64 (C, C), the estimated T[i, j] = P(given j | true i)
  for_review.npz         what a reviewer sees beside an image; see `trainer.audit.for_review`
  label_studio.json, label_studio.xml, fiftyone.csv   for other tools; see `trainer.audit.exports`
  metrics.json           flat: the estimated noise rate, and the quality of the audit, if known
  manifest.json          has the id of the audit, the run of the rows of label_issues.csv,
                         {name: (caption, axis label)} of the coefficients among its columns, and
                         facts about the data issues

N audited training examples, C classes, T test examples.
"""

import hashlib
import sys

import numpy as np
import pandas as pd
from tabulate import tabulate

from trainer import artifacts, backbones
from trainer.audit import (
    annotators,
    exports,
    for_review,
    kept_labels,
    noise_estimation,
    out_of_sample,
    test_images,
)
from trainer.audit.corrected import write_labels
from trainer.audit.data_issues import find, noise_table
from trainer.audit.evidence import contradictions
from trainer.audit.ranking import rank_labels
from trainer.data import probe, records
from trainer.data.noise import injection
from trainer.data.noise.transition import normalised_rows, realised_transition
from trainer.evaluation import detection

ISSUES, TABLE = "label_issues.csv", "label_issues.parquet"
RATE_METRICS, RIGHT_METRICS = (
    [f"audit/{name}_{end}" for end in kept_labels.ENDS] for name in ("noise_rate", "labels_right")
)
# Names as in cleanlab where it has the column. The coefficients that the method records, each the
# mean over training, come before `is_label_issue`.
COLUMNS = {
    "id": "of the example in the prepared dataset; ids of test continue those of train",
    "split": "train or test",
    "path": "of its file; empty where there was none",
    "given_label": "the given, perhaps noisy, label",
    "suggested_label": "the most likely other class",
    "label_score": "probability that the given label is true, from image and noise; low if wrong",
    "p_suggested": "probability that the suggested label is true",
    "cleanlab_score": "label quality score of cleanlab, from the image alone; low if wrong",
    "is_label_issue": "1 for the first n rows, n the estimated number of wrong labels",
    "corrected": "1 if the suggested label is more likely true, 0 for a test image",
    "decision": "for a reviewer: keep, relabel, drop or unsure, see `trainer.audit.decisions`",
    "label": "for a reviewer: the true label, for relabel",
    "run": "identity of the run; a review refuses another",
    "dataset": "id of the prepared dataset",
}


def audit(
    dataset_path,
    noisy_labels_path,
    probe_split_path,
    checkpoints_paths,
    output_path,
    embeddings_path=None,
):
    """Writes a label audit. Returns its metrics by name.

    Args:
      dataset_path: Directory of the prepared dataset.
      noisy_labels_path: Directory of the given labels.
      probe_split_path: Directory of the probe split; trusted examples are not audited.
      checkpoints_paths: Directories of the checkpoints of one run, or of all `audit_folds` runs
        that each left out a fold: all predictions are then out of sample.
      output_path: Directory to write.
      embeddings_path: Directory of the embeddings of the images, where there are some; runs
        without a backbone leave them alone.

    Raises:
      InputError: Artifacts that are not whole or do not fit, or a missing fold.
    """
    dataset = records.read_manifest(dataset_path)
    labels, noisy_labels = injection.read_noisy_labels(noisy_labels_path, dataset)
    _, ids, split = probe.read_split(probe_split_path, dataset)
    run = artifacts.read(checkpoints_paths[-1], artifacts.CHECKPOINTS)
    if run["config"]["backbone"] == backbones.NONE:
        embeddings_path = None
    features = for_review.read_features(dataset_path, checkpoints_paths[-1], embeddings_path)
    evidence = out_of_sample.gather_evidence(
        dataset_path, probe_split_path, checkpoints_paths, labels, ids, features, embeddings_path
    )
    given, names = labels[ids], dataset["class_names"]
    table, transition = audited_table(evidence, ids, given)
    true = probe.trusted_labels(probe_split_path, dataset_path, labels)
    trusted_ids = np.setdiff1d(np.arange(len(labels)), ids)
    corrected = corrected_labels(labels, table, true, trusted_ids)
    tested, decided = probe.test_labels(probe_split_path, dataset_path)
    rates, estimated_from, noise_notes = test_images.noise_rates(dataset_path, evidence, given)
    table = test_images.with_issues(table, rates.overall[0])
    metrics = dict(zip(RATE_METRICS, rates.overall.tolist()))
    if evidence.labels_right is not None:
        metrics |= zip(RIGHT_METRICS, evidence.labels_right.tolist())
    metrics |= audit_quality(table, corrected[ids], dataset_path, transition)
    table = test_images.with_test_images(
        table, dataset_path, evidence.tested, decided, evidence.transition
    )
    trusted = trusted_ids, true[trusted_ids]
    seen = for_review.gather_both(evidence, table, trusted, features, len(labels))
    images, found = find.find(dataset_path, labels, ids, evidence, embeddings_path, true)
    parents = parents_of(dataset, noisy_labels, split, evidence.runs)
    facts = facts_of(dataset, parents, evidence, rates, table)
    with artifacts.writing(output_path) as directory:
        table = table.assign(run=facts["audit"], dataset=dataset["id"])
        write_issues(directory, table, dataset_path, evidence.captions)
        for_review.write(directory, seen)
        write_labels(directory, dataset_path, np.append(corrected, tested), trusted_ids, decided)
        find.write(directory, images, names)
        notes = annotators.write(directory, dataset_path, ids, given, evidence.P, names)
        noise_table.write(directory, rates, estimated_from, names)
        np.save(directory / "transition.npy", transition)
        artifacts.write_json(directory / "metrics.json", metrics)
        facts["data_issues"] = found | {"notes": [*found["notes"], *notes]}
        facts["noise_notes"] = noise_notes
        artifacts.finish(directory, artifacts.LABEL_AUDIT, parents, **facts, **metrics)
    return metrics


def facts_of(dataset, parents, evidence, rates, table):
    """Facts of the audit, for its manifest. Prints the warnings among them."""
    warnings = [*evidence.warnings, *contradictions(evidence, *rates.overall[1:])]
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return {
        "audit": audit_name(parents),
        "predicted_by": evidence.predicted_by,
        "coefficients": evidence.captions,
        "warnings": warnings,
        "num_issues": int(table.is_label_issue.sum()),
        "class_names": dataset["class_names"],
    }


def parents_of(dataset, noisy_labels, split, runs):
    """Manifests of what the audit is made from, by role."""
    parents = {manifest["kind"]: manifest for manifest in (dataset, noisy_labels, split)}
    return parents | {f"checkpoints_{i}": run for i, run in enumerate(runs)}


def audited_table(evidence, ids, given):
    """The rows of label_issues.csv with classes as numbers, and the estimated T (C, C)."""
    from cleanlab.rank import get_label_quality_scores  # takes seconds

    Q, transition = noise_estimation.true_label_posterior(evidence.P, given, evidence.transition)
    if evidence.correction:
        transition = normalised_rows(noise_estimation.joint_counts(Q, given))
    scores = get_label_quality_scores(given, evidence.P)
    table = rank_labels(given, Q).assign(id=ids, cleanlab_score=scores, **evidence.coefficients)
    return table, transition


def corrected_labels(labels, table, true, trusted_ids):
    """Corrected labels by id, int32; trusted examples have their true labels, dropped ones -1."""
    corrected = labels.copy()
    corrected[table.id] = np.where(table.corrected, table.suggested_label, table.given_label)
    corrected[trusted_ids] = true[trusted_ids]
    return corrected


def audit_name(parents):
    """An id of the audit and its artifacts, which no spreadsheet reads as a number."""
    ids = " ".join(parent["id"] for parent in parents.values())
    return f"a{hashlib.sha256(ids.encode()).hexdigest()[:11]}"


def audit_quality(table, corrected, dataset_path, transition):
    """Quality of an audit of N training examples; {} unless all their true labels are known."""
    clean = records.read_clean_labels(dataset_path)[table.id]
    if not np.all(clean >= 0):  # the known ones alone would not speak for all
        return {}
    given, wrong = table.given_label.to_numpy(), (table.given_label != clean).to_numpy()
    true_transition = realised_transition(clean, given, len(transition))
    by_cleanlab = detection.ranking_quality(-table.cleanlab_score.to_numpy(), wrong)
    metrics = {
        "noise_rate": float(wrong.mean()),
        "transition_error": float(np.abs(transition - true_transition).mean()),
        **detection.ranking_quality(1 - table.label_score.to_numpy(), wrong),
        **{f"cleanlab_{name}": value for name, value in by_cleanlab.items()},
        **detection.correction_quality(given, corrected, clean, table.is_label_issue.to_numpy()),
    }
    return {f"audit/{name}": value for name, value in metrics.items()}


def write_issues(directory, table, dataset_path, coefficients):
    """Writes the table for people: most suspicious first, with class names for class numbers."""
    dataset = records.read_manifest(dataset_path)
    names = np.array(dataset["class_names"], object)
    paths = [records.read_paths(dataset_path, split) for split in ("train", "test")]
    paths = paths[0] + paths[1] if paths[0] else None
    table = table.assign(
        split=np.where(table.id < dataset["num_examples"]["train"], "train", "test"),
        path=[paths[id] for id in table.id] if paths else "",
        given_label=names[table.given_label],
        suggested_label=names[table.suggested_label],
        is_label_issue=table.is_label_issue.astype(np.int8),
        corrected=table.corrected.astype(np.int8),
        decision="",
        label="",
    )
    order = ["is_label_issue", "label_score"]
    table = table.sort_values(order, ascending=[False, True], kind="stable").reindex(
        columns=columns(coefficients)
    )
    table.to_csv(directory / ISSUES, index=False, float_format="%.6f")
    table.to_parquet(directory / TABLE, index=False)
    exports.write(directory, table, names)


def columns(coefficients):
    """Names of the columns, including those of the coefficients."""
    names = list(COLUMNS)
    place = names.index("is_label_issue")
    return [*names[:place], *coefficients, *names[place:]]


def summary(audit_path, count=20):
    """The most suspicious labels as a Markdown table."""
    rows = pd.read_parquet(f"{audit_path}/{TABLE}").head(count)
    shown = ["id", "path", "given_label", "suggested_label", "label_score"]
    rows = rows.assign(label_score=rows.label_score.map("{:.4f}".format))
    cells = rows[shown].map(lambda value: str(value).replace("|", "\\|").replace("<", "&lt;"))
    return tabulate(cells, shown, "github", showindex=False, disable_numparse=True) + "\n"
