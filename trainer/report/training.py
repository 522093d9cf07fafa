"""The report of a training run: its results, its label issues, its settings and versions."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from trainer import artifacts
from trainer.audit import label_issues
from trainer.data import records, summary
from trainer.data.sources.folders import SPLITS
from trainer.report import (
    budget,
    charts,
    classes,
    data_issues,
    gallery,
    page,
    provenance,
    training_charts,
    training_results,
)
from trainer.report.published import published_result

HOW_TO_REVIEW = "make review DECISIONS=decisions.csv"
OF_ARTIFACTS = ("schema_version", "kind", "made_by", "id")


def write(
    dataset_path,
    noisy_labels_path,
    checkpoints_path,
    metrics_path,
    label_audit_path,
    exported_model_path,
    file,
):
    """Writes the report.

    Args:
      dataset_path: Directory of the prepared dataset.
      noisy_labels_path: Directory of the given labels.
      checkpoints_path: Directory of the finished run.
      metrics_path: Directory of its test metrics.
      label_audit_path: Directory of its label audit.
      exported_model_path: Directory of its exported model.
      file: The HTML file to write.

    Raises:
      InputError: Artifacts that are not whole or do not fit.
    """
    paths = {
        artifacts.PREPARED_DATASET: Path(dataset_path),
        artifacts.NOISY_LABELS: Path(noisy_labels_path),
        artifacts.CHECKPOINTS: Path(checkpoints_path),
        artifacts.METRICS: Path(metrics_path),
        artifacts.LABEL_AUDIT: Path(label_audit_path),
        artifacts.EXPORTED_MODEL: Path(exported_model_path),
    }
    made = read_manifests(paths)
    metrics = json.loads((paths[artifacts.METRICS] / "metrics.json").read_text())
    issues = pd.read_parquet(paths[artifacts.LABEL_AUDIT] / label_issues.TABLE)
    here = bool(provenance.command())  # a cluster keeps the page alone
    page.write_page(
        file,
        "training.html.jinja",
        title=title(made[artifacts.PREPARED_DATASET], issues),
        made=provenance.made(
            made[artifacts.CHECKPOINTS],
            made[artifacts.PREPARED_DATASET],
            issues.id,
            int((np.load(paths[artifacts.LABEL_AUDIT] / "corrected_labels.npy") < 0).sum()),
            checkpoints_path,
        ),
        command=provenance.command(),
        review=HOW_TO_REVIEW,
        **results(made, metrics),
        **issues_and_pictures(paths, made, issues, Path(file) if here else None),
        data=list(summary.lines(made[artifacts.PREPARED_DATASET], artifacts.PREPARED_DATASET)),
        run=run_facts(checkpoints_path, made, metrics),
    )


def title(dataset, issues):
    """Name of the folder of the images, above that of a split; or of the dataset."""
    trained = issues.id < dataset["num_examples"]["train"]
    names = ["", *gallery.common_folder(issues.path[trained]).rstrip("/").split("/")]
    while names[-1].casefold() in SPLITS:
        names.pop()
    return names[-1] or dataset["source"]


def read_manifests(paths):
    """The manifests of artifacts that were made from the same dataset, by kind."""
    made = {kind: artifacts.read(path, kind) for kind, path in paths.items()}
    dataset, *others = made.values()
    for other in others:
        artifacts.check_parent(other, dataset)
    return made


def results(made, metrics):
    """The words and numbers of the page, by the names of the template."""
    dataset, run = made[artifacts.PREPARED_DATASET], made[artifacts.CHECKPOINTS]
    audit, exported = made[artifacts.LABEL_AUDIT], made[artifacts.EXPORTED_MODEL]
    return {
        "sentence": training_results.sentence(dataset, run, metrics, audit),
        "headline": training_results.headline(dataset, metrics, audit, exported),
        "published": published_result(run, metrics),
        "backbone_choice": run.get("backbone_choice"),
        "predicted_by": audit["predicted_by"],
        "warnings": audit["warnings"],
        "noise_notes": audit.get("noise_notes", []),
        "calibrated": training_results.calibration_text(dataset, exported),
    }


def issues_and_pictures(paths, made, issues, file):
    """The gallery, the tables and the charts, by the names of the template."""
    dataset, dataset_path = made[artifacts.PREPARED_DATASET], paths[artifacts.PREPARED_DATASET]
    audit, audit_path = made[artifacts.LABEL_AUDIT], paths[artifacts.LABEL_AUDIT]
    names, index = dataset["class_names"], pd.Index(dataset["class_names"])
    given, suggested = map(index.get_indexer, (issues.given_label, issues.suggested_label))
    trained = (issues.id < dataset["num_examples"]["train"]).to_numpy()
    clean = np.full(len(issues), -1)
    clean[trained] = records.read_clean_labels(dataset_path)[issues.id[trained]]
    csv = (audit_path / label_issues.ISSUES).read_bytes()
    confusion = np.load(paths[artifacts.METRICS] / "confusion.npy")
    curves = training_charts.learning_curves(paths[artifacts.CHECKPOINTS])
    histograms = training_charts.histograms(
        issues[trained], given[trained], clean[trained], audit["coefficients"]
    )
    kept = np.where(issues.corrected, suggested, given)
    estimated = np.load(audit_path / "transition.npy")
    return {
        "gallery": gallery.page_data(dataset_path, audit_path, issues, csv, dataset, audit, file),
        "audited": len(issues),
        "issues": int(issues.is_label_issue.sum()),
        "data_issues": data_issues.section(dataset_path, audit_path, audit["data_issues"]),
        "budget": budget.budget(
            issues, trained, audit, kept == clean if (clean >= 0).all() else None
        ),
        "classes": classes.rows(issues, given, suggested, confusion, names),
        "large": len(names) > charts.MANY,
        "noise": training_charts.transitions(given[trained], clean[trained], names, estimated),
        "confusion": training_charts.confusion_matrix(confusion, names),
        "reliability": training_charts.reliability_diagram(made[artifacts.EXPORTED_MODEL]),
        "training": curves | histograms,
    }


def run_facts(checkpoints_path, made, metrics):
    """Settings, data, results and versions, by name."""
    setup = json.loads((Path(checkpoints_path) / "config.json").read_text())
    plain = {kind: artifacts.scalars(content) for kind, content in made.items()}
    counts = made[artifacts.PREPARED_DATASET]["num_examples"]
    data = {f"{split} images": number for split, number in counts.items()}
    for kind in (artifacts.PREPARED_DATASET, artifacts.NOISY_LABELS):
        data |= {name: value for name, value in plain[kind].items() if name not in OF_ARTIFACTS}
    found = metrics | plain[artifacts.LABEL_AUDIT] | plain[artifacts.EXPORTED_MODEL]
    return {
        "Settings that counted": provenance.settings_that_counted(setup["config"]),
        "Data": data,
        "Results": {name: value for name, value in found.items() if "/" in name},
        "Versions": setup["versions"],
        "Artifacts": {kind: content["id"] for kind, content in made.items()},
    }
