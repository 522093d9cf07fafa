"""Which labels are wrong: all training examples, those first whose label is most likely not right.

<label_audit>/
  label_issues.csv, label_issues.parquet   a row per example; see COLUMNS
  corrected_labels.npy   int32 (N,), by id of the prepared dataset
  clean_manifest.csv     path, label, split, trusted: `--dataset=csv` trains on it; only where the
                         images were files
  transition.npy         float64 (C, C), the noise that the model believes in:
                         T[i, j] = P(given j | true i)
  metrics.json           flat: the estimated noise rate, and how right all this is, if known
  manifest.json
"""

import numpy as np
import pandas as pd
from tabulate import tabulate

from trainer import calibration, detection, label_posterior, manifest
from trainer.data import folds, noise, probe, records
from trainer.errors import InputError

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
    "decision": "for a reviewer: accept (the suggestion), reject (it), or the right class",
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
    labels, noisy_labels = noise.read(noisy_labels_path, dataset)
    probe_ids, ids, split = probe.read(probe_split_path, dataset)
    given, clean = labels[ids], records.read_clean_labels(dataset_path)
    P, coefficients, runs = judged(dataset_path, dataset, ids, probe_ids, clean, checkpoints_paths)
    Q, transition = label_posterior.posterior(P, given)
    quality = get_label_quality_scores(given, P)
    table = ranked(given, Q).assign(id=ids, cleanlab=quality, **coefficients)
    corrected = labels.copy()
    corrected[ids] = np.where(table.corrected, table.suggested, given)
    corrected[probe_ids] = clean[probe_ids]
    metrics = {"audit/noise_rate_estimated": float(table.score.mean())}
    known = clean[ids] >= 0
    if known.any():
        metrics |= compared(table[known], corrected[ids][known], clean[ids][known], transition)
    with manifest.writing(output_path) as directory:
        write_issues(directory, table, dataset, records.read_paths(dataset_path, "train"))
        write_labels(directory, dataset_path, corrected, probe_ids)
        np.save(directory / "transition.npy", transition)
        manifest.write_json(directory / "metrics.json", metrics)
        parents = {m["kind"]: m for m in (dataset, noisy_labels, split)}
        parents |= {f"checkpoints_{i}": run for i, run in enumerate(runs)}
        manifest.finish(
            directory,
            manifest.LABEL_AUDIT,
            parents,
            num_issues=int(table.issue.sum()),
            class_names=dataset["class_names"],
            **metrics,
        )
    return metrics


def judged(dataset_path, dataset, ids, probe_ids, clean, checkpoints_paths):
    """What the runs say of the training examples, calibrated where trusted ones were held out.

    Returns:
      Probabilities float64 (N, C), mean coefficients (N,) by name, and the manifests of the runs.
    """
    from trainer import fit, predictions  # imports TensorFlow

    P = np.zeros((len(ids), len(dataset["class_names"])))
    judges, sums, runs = np.zeros(len(ids)), {}, []
    for path in checkpoints_paths:
        run = manifest.read(path, manifest.CHECKPOINTS)
        manifest.check_parent(run, dataset)
        method, run = fit.restore(path)
        fold = folds.of(ids, method.config)
        out = fold == method.config.audit_fold
        mine = out if out.any() else np.full(len(ids), True)
        found = predictions.probabilities(dataset_path, method)
        held_out = probe.held_out(probe_ids, method, P.shape[1])
        if len(held_out):
            found = calibration.dirichlet(found[held_out], clean[held_out])(found)
        P[mine] += found[ids[mine]]
        judges[mine] += 1
        means, _ = method.record.means()
        for name, values in means.items():
            sums.setdefault(name, np.zeros(len(ids)))[~out] += values
        runs.append(run)
    if not judges.all():
        rule = "must be those of all folds: some examples were left out by none of the runs"
        raise InputError("checkpoints", rule, f"{len(runs)} runs")
    times = max(len(runs) - 1, 1)
    return P / judges[:, np.newaxis], {name: s / times for name, s in sums.items()}, runs


def ranked(given, Q):
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


def compared(table, corrected, clean, transition):
    """Metrics of an audit of examples whose true labels `clean` (N,) are known."""
    given, wrong = table.given.to_numpy(), (table.given != clean).to_numpy()
    truth = detection.transition(given, clean, len(transition))
    by_cleanlab = detection.quality(-table.cleanlab.to_numpy(), wrong)
    metrics = {
        "noise_rate": float(wrong.mean()),
        "transition_error": float(np.abs(transition - truth).mean()),
        **detection.quality(table.score.to_numpy(), wrong),
        **{f"cleanlab_{name}": value for name, value in by_cleanlab.items()},
        **detection.corrections(given, corrected, clean, table.issue.to_numpy()),
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
    )
    table = table.sort_values("score", ascending=False, kind="stable")
    table = table.reindex(columns=list(COLUMNS))
    table.to_csv(directory / ISSUES, index=False, float_format="%.6f")
    table.to_parquet(directory / TABLE, index=False)


def write_labels(directory, dataset_path, corrected, probe_ids):
    """Corrected labels, and the table that trains on them."""
    np.save(directory / "corrected_labels.npy", corrected)
    paths = records.read_paths(dataset_path, "train")
    if paths is None:
        return
    names = np.array(records.read_manifest(dataset_path)["class_names"], object)
    trusted = np.zeros(len(paths), int)
    trusted[probe_ids] = 1
    test = records.read_paths(dataset_path, "test")
    parts = [
        pd.DataFrame(
            {"path": paths, "label": names[corrected], "split": "train", "trusted": trusted}
        ),
        pd.DataFrame(
            {
                "path": test,
                "label": names[records.read_labels(dataset_path, "test")],
                "split": "test",
                "trusted": 0,
            }
        ),
    ]
    pd.concat(parts).to_csv(directory / "clean_manifest.csv", index=False)


def summary(audit_path, count=20):
    """The most suspicious labels as a Markdown table."""
    rows = pd.read_parquet(f"{audit_path}/{TABLE}").head(count)
    columns = ["id", "path", "given", "suggested", "score"]
    rows = rows.assign(score=rows.score.map("{:.4f}".format))
    cells = rows[columns].map(lambda value: str(value).replace("|", "\\|").replace("<", "&lt;"))
    return tabulate(cells, columns, "github", showindex=False, disable_numparse=True) + "\n"


def review(audit_path, reviewed_file, dataset_path, output_path):
    """Labels as a reviewer decided, in place of those that an audit corrected.

    Args:
      audit_path: Directory of the label audit.
      reviewed_file: Its label_issues.csv with decisions: accept, reject, or a class. Rows without
        one, or left out, stay as the audit has them.
      dataset_path: Directory of the prepared dataset.
      output_path: Directory to write corrected_labels.npy and clean_manifest.csv to.

    Returns:
      How many decisions there are.

    Raises:
      InputError: The table has no ids or decisions, or one that is neither of these.
    """
    audit = manifest.read(audit_path, manifest.LABEL_AUDIT)
    dataset = records.read_manifest(dataset_path)
    manifest.check_parent(audit, dataset)
    numbers = {name: i for i, name in enumerate(dataset["class_names"])}
    rows = read_reviewed(reviewed_file)
    audited = pd.read_parquet(f"{audit_path}/{TABLE}").set_index("id")
    corrected = np.load(f"{audit_path}/corrected_labels.npy")
    for id, decision in zip(rows.id, rows.decision):
        if id not in audited.index:
            raise InputError("--review", "must have ids of the audit", id)
        choices = {"accept": audited.suggested[id], "reject": audited.given[id]}
        label = decision if decision in numbers else choices.get(decision)
        if label is None:
            rule = "decision must be accept, reject or one of the classes"
            raise InputError("--review", rule, f"{decision} for id {id}")
        corrected[id] = numbers[label]
    with manifest.writing(output_path) as directory:
        probe_ids = np.setdiff1d(np.arange(len(corrected)), audited.index)
        write_labels(directory, dataset_path, corrected, probe_ids)
        parents = {manifest.LABEL_AUDIT: audit}
        manifest.finish(directory, manifest.REVIEW, parents, decisions=len(rows))
    return len(rows)


def read_reviewed(file):
    """The rows with a decision."""
    try:
        rows = pd.read_csv(file, dtype="str", keep_default_na=False, encoding="utf-8-sig")
        rows = rows[rows.decision.str.strip() != ""]
        return rows.assign(id=rows.id.astype(int), decision=rows.decision.str.strip())
    except (OSError, ValueError, AttributeError) as error:
        rule = f"must be a label_issues.csv with columns id and decision ({error})"
        raise InputError("--review", rule, str(file)) from None
