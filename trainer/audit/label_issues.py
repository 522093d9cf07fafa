"""Which labels are wrong: all training examples, those first whose label is most likely not right.

<label_audit>/
  label_issues.csv, label_issues.parquet   a row per example; see COLUMNS
  corrected_labels.npy   int32 (N,), by id of the prepared dataset
  clean_manifest.csv     path, label, split, trusted, label_status: `--dataset=csv` trains on it;
                         only where the images were files
  transition.npy         float64 (C, C), the noise that the model believes in:
                         T[i, j] = P(given j | true i)
  metrics.json           flat: the estimated noise rate, and how right all this is, if known
  artifacts.json          with the name of the audit, that the rows of label_issues.csv have as well
"""

import hashlib
import sys

import numpy as np
import pandas as pd
from tabulate import tabulate

from trainer import artifacts
from trainer.audit import noise_estimation, out_of_sample
from trainer.data import probe, records
from trainer.data.noise import injection
from trainer.data.noise.transition import realised
from trainer.data.sources.tables import NOISY
from trainer.evaluation import detection

ISSUES, TABLE = "label_issues.csv", "label_issues.parquet"
COLUMNS = {
    "id": "of the example in the prepared dataset",
    "path": "of its file; empty where there was none",
    "given": "the label as given",
    "suggested": "the most likely other class",
    "score": "how likely the given label is wrong: 1 - p_given",
    "p_given": "probability of the given label, knowing image and noise",
    "p_suggested": "of the suggested one",
    "cleanlab": "label quality by cleanlab, from what the network says of the image; low: wrong",
    "weight": "mean weight in training; low for examples that did not help the trusted ones",
    "lam": "share of the steps in which training kept the given label rather than its own guess",
    "right": "mean probability in training that the given label is right",
    "issue": "1 for the first ones, as many as are wrong by the estimated noise rate",
    "corrected": "1 if the suggestion is more likely right, and stands in corrected_labels.npy",
    "decision": "for a reviewer: accept (the suggestion) or reject (it), or the right class",
    "right_label": "for a reviewer: the right class; it counts in place of a decision",
    "audit": "which audit this is; a review takes no other",
}


def audit(dataset_path, noisy_labels_path, probe_split_path, checkpoints_paths, output_path):
    """Writes a label audit.

    Args:
      dataset_path: Directory of the prepared dataset.
      noisy_labels_path: Directory of the given labels.
      probe_split_path: Directory of the probe split; trusted examples are not audited.
      checkpoints_paths: Directories of the checkpoints of one run, or of all `audit_folds` runs
        that each left out a fold: then each label is judged by the run that has not seen it.
      output_path: Directory to write.

    Returns:
      The metrics, by name.

    Raises:
      InputError: Artifacts that are not whole or do not fit, or a missing fold.
    """
    from cleanlab.rank import get_label_quality_scores  # takes seconds

    dataset = records.read_manifest(dataset_path)
    labels, noisy_labels = injection.read_noisy_labels(noisy_labels_path, dataset)
    _, ids, split = probe.read_split(probe_split_path, dataset)
    given, clean = labels[ids], records.read_clean_labels(dataset_path)
    trusted_ids = np.setdiff1d(np.arange(len(labels)), ids)
    judged = out_of_sample.judged(dataset_path, probe_split_path, checkpoints_paths, labels, ids)
    P = judged.P
    Q, transition = noise_estimation.true_label_posterior(P, given)
    quality = get_label_quality_scores(given, P)
    table = rank_labels(given, Q).assign(id=ids, cleanlab=quality, **judged.coefficients)
    corrected = labels.copy()
    corrected[ids] = np.where(table.corrected, table.suggested, given)
    corrected[trusted_ids] = clean[trusted_ids]
    rate, low, high = noise_estimation.noise_rate_range(P, given)
    metrics = {"audit/noise_rate_estimated": rate}
    metrics |= {"audit/noise_rate_low": low, "audit/noise_rate_high": high}
    warnings = [*judged.warnings, *out_of_sample.contradictions(judged, low, high)]
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if np.all(clean[ids] >= 0):  # what is known of a chosen part says nothing of the whole
        metrics |= audit_quality(table, corrected[ids], clean[ids], transition)
    parents = {m["kind"]: m for m in (dataset, noisy_labels, split)}
    parents |= {f"checkpoints_{i}": run for i, run in enumerate(judged.runs)}
    name = audit_name(parents)
    with artifacts.writing(output_path) as directory:
        table["audit"] = name
        write_issues(directory, table, dataset, records.read_paths(dataset_path, "train"))
        write_labels(directory, dataset_path, corrected, trusted_ids)
        np.save(directory / "transition.npy", transition)
        artifacts.write_json(directory / "metrics.json", metrics)
        artifacts.finish(
            directory,
            artifacts.LABEL_AUDIT,
            parents,
            audit=name,
            judge=judged.judge,
            warnings=warnings,
            num_issues=int(table.issue.sum()),
            class_names=dataset["class_names"],
            **metrics,
        )
    return metrics


def audit_name(parents):
    """The same for the same audit of the same artifacts; no spreadsheet takes it for a number."""
    ids = " ".join(parent["id"] for parent in parents.values())
    return f"a{hashlib.sha256(ids.encode()).hexdigest()[:11]}"


def rank_labels(given, Q):
    """Scores and suggestions, a row per example, from P(true | image, given) (N, C)."""
    rows, others = np.arange(len(given)), Q.copy()
    others[rows, given] = -1
    suggested = others.argmax(axis=1)
    score = 1 - Q[rows, given]
    issue = np.zeros(len(given), bool)
    issue[np.argsort(-score, kind="stable")[: round(score.sum())]] = True
    return pd.DataFrame(
        {
            "given": given,
            "suggested": suggested,
            "score": score,
            "p_given": Q[rows, given],
            "p_suggested": Q[rows, suggested],
            "issue": issue,
            "corrected": Q[rows, suggested] > Q[rows, given],
        }
    )


def audit_quality(table, corrected, clean, transition):
    """Metrics of an audit of examples whose true labels `clean` (N,) are known."""
    given, wrong = table.given.to_numpy(), (table.given != clean).to_numpy()
    truth = realised(clean, given, len(transition))
    by_cleanlab = detection.ranking_quality(-table.cleanlab.to_numpy(), wrong)
    metrics = {
        "noise_rate": float(wrong.mean()),
        "transition_error": float(np.abs(transition - truth).mean()),
        **detection.ranking_quality(table.score.to_numpy(), wrong),
        **{f"cleanlab_{name}": value for name, value in by_cleanlab.items()},
        **detection.correction_quality(given, corrected, clean, table.issue.to_numpy()),
    }
    return {f"audit/{name}": value for name, value in metrics.items()}


def write_issues(directory, table, dataset, paths):
    """The table for people, most suspicious first, with names in place of numbers."""
    names = np.array(dataset["class_names"], object)
    table = table.assign(
        path=[paths[id] for id in table.id] if paths else "",
        given=names[table.given],
        suggested=names[table.suggested],
        issue=table.issue.astype(np.int8),
        corrected=table.corrected.astype(np.int8),
        decision="",
        right_label="",
    )
    table = table.sort_values("score", ascending=False, kind="stable")
    table = table.reindex(columns=list(COLUMNS))
    table.to_csv(directory / ISSUES, index=False, float_format="%.6f")
    table.to_parquet(directory / TABLE, index=False)


def write_labels(directory, dataset_path, corrected, trusted_ids):
    """Corrected labels, and the table that trains on them."""
    np.save(directory / "corrected_labels.npy", corrected)
    paths = records.read_paths(dataset_path, "train")
    if paths is None:
        return
    dataset = records.read_manifest(dataset_path)
    names = np.array(dataset["class_names"], object)
    trusted = np.zeros(len(paths), int)
    trusted[trusted_ids] = 1
    train = pd.DataFrame({"path": paths, "label": names[corrected], "split": "train"})
    train = train.assign(trusted=trusted, label_status=np.where(trusted, "trusted", "audited"))
    test = pd.DataFrame(
        {
            "path": records.read_paths(dataset_path, "test"),
            "label": names[records.read_labels(dataset_path, "test")],
            "split": "test",
            "trusted": 0,
            "label_status": "clean" if dataset["test_labels_are_clean"] else NOISY,
        }
    )
    pd.concat([train, test]).to_csv(directory / "clean_manifest.csv", index=False)


def summary(audit_path, count=20):
    """The most suspicious labels as a Markdown table."""
    rows = pd.read_parquet(f"{audit_path}/{TABLE}").head(count)
    columns = ["id", "path", "given", "suggested", "score"]
    rows = rows.assign(score=rows.score.map("{:.4f}".format))
    cells = rows[columns].map(lambda value: str(value).replace("|", "\\|").replace("<", "&lt;"))
    return tabulate(cells, columns, "github", showindex=False, disable_numparse=True) + "\n"
