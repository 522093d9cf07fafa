"""The report of a training run: how good it is, which labels look wrong, and what was run.

C classes, N audited examples.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from trainer import artifacts
from trainer.audit import label_issues
from trainer.data import records, summary
from trainer.data.noise.transition import normalised_rows, realised
from trainer.report import charts, gallery, page

NOISE_AXES = {"across": "label given", "down": "true label"}
OF_ARTIFACTS = ("schema_version", "kind", "made_by", "id")
TEST_AXES = {"across": "taken for", "down": "label"}


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
    kinds = {
        artifacts.PREPARED_DATASET: dataset_path,
        artifacts.NOISY_LABELS: noisy_labels_path,
        artifacts.CHECKPOINTS: checkpoints_path,
        artifacts.METRICS: metrics_path,
        artifacts.LABEL_AUDIT: label_audit_path,
        artifacts.EXPORTED_MODEL: exported_model_path,
    }
    made = read_manifests(kinds)
    dataset, audit = made[artifacts.PREPARED_DATASET], made[artifacts.LABEL_AUDIT]
    run, exported = made[artifacts.CHECKPOINTS], made[artifacts.EXPORTED_MODEL]
    metrics = json.loads((Path(metrics_path) / "metrics.json").read_text())
    issues = pd.read_parquet(Path(label_audit_path) / label_issues.TABLE)
    clean = records.read_clean_labels(dataset_path)[issues.id]
    pictures = gallery.page_data(
        dataset_path, issues, (Path(label_audit_path) / label_issues.ISSUES).read_bytes()
    )
    names = dataset["class_names"]
    confusion = normalised_rows(np.load(Path(metrics_path) / "confusion.npy"))
    page.write_page(
        file,
        "training.html.jinja",
        title=f"{run['dataset']}, {run['method']}",
        sentence=sentence(dataset, run, metrics, audit, len(issues)),
        headline=headline(dataset, metrics, audit, exported, len(issues)),
        gallery=pictures,
        shown=len(pictures["rows"]),
        audited=len(issues),
        judge=audit["judge"],
        warnings=audit["warnings"],
        large=len(names) > charts.MANY,
        noise=noise(issues, clean, names, np.load(Path(label_audit_path) / "transition.npy")),
        confusion=charts.heat_map(confusion, names, **TEST_AXES),
        reliability=reliability(exported),
        calibrated=calibrated(dataset, exported),
        data=list(summary.lines(dataset, artifacts.PREPARED_DATASET)),
        training=curves(checkpoints_path) | coefficients(issues, clean, names),
        run=facts(checkpoints_path, made, metrics),
    )


def read_manifests(paths):
    """The manifests of artifacts that were made from the same dataset, by kind."""
    made = {kind: artifacts.read(path, kind) for kind, path in paths.items()}
    dataset, *others = made.values()
    for other in others:
        artifacts.check_parent(other, dataset)
    return made


def sentence(dataset, run, metrics, audit, count):
    """The result in words."""
    tested, top1 = dataset["num_examples"]["test"], metrics["test/top1"]
    said = f"{run['method']} is right on {top1:.1%} of {tested:,} test images"
    if not dataset["test_labels_are_clean"]:
        said = (
            f"{run['method']} agrees with the labels of {top1:.1%} of {tested:,} test images, which"
            " may be as wrong as those of training"
        )
    if run["wrong_labels"]:
        return f"{said}, although {run['wrong_labels']:.1%} of the training labels are wrong."
    rate, low, high = (audit[f"audit/noise_rate_{name}"] for name in ("estimated", "low", "high"))
    return (
        f"{said}. Of {count:,} training labels, about {rate:.1%} look wrong"
        f" (between {low:.1%} and {high:.1%})."
    )


def headline(dataset, metrics, audit, exported, count):
    """The numbers to see first, by name."""
    clean = dataset["test_labels_are_clean"]
    numbers = {
        "test accuracy" if clean else "agreement with test labels": f"{metrics['test/top1']:.1%}",
        "labels that look wrong": f"{audit['num_issues']:,} of {count:,}",
    }
    if "trusted/top1" in exported:
        trusted = f"accuracy on {exported['calibrated_on']} trusted images"
        numbers[trusted] = f"{exported['trusted/top1']:.1%}"
    if "audit/recall" in audit:
        numbers["of the wrong labels, found"] = f"{audit['audit/recall']:.1%}"
    if "audit/labels_right" in audit:
        before, after = audit["audit/labels_right_before"], audit["audit/labels_right"]
        numbers["training labels right"] = f"{before:.1%} → {after:.1%}"
    return numbers | {"calibration error (ECE)": f"{exported['test/ece']:.3f}"}


def noise(issues, clean, names, believed):
    """The noise there is, where it is known, beside the noise the model believes in."""
    found = {}
    if (clean >= 0).all():
        found["In the data"] = realised(clean, numbered(issues, names), len(names))
    found["As the model believes"] = believed
    return {c: charts.heat_map(T, names, **NOISE_AXES, salt=c) for c, T in found.items()}


def numbered(issues, names):
    """The given labels as numbers, int (N,)."""
    return pd.Index(names).get_indexer(issues.given)


def reliability(exported):
    """The diagram of the model, and of the network before calibration if there was one."""
    diagrams = dict(exported["reliability"])
    if not exported["calibrated_on"]:
        diagrams = {"not calibrated": diagrams["before calibration"]}
    return charts.reliability_diagram(diagrams)


def calibrated(dataset, exported):
    """How sure the model is, in words."""
    ece, before = exported["test/ece"], exported["test/ece_before"]
    said = f"Expected calibration error {ece:.3f}. Not calibrated: no trusted image was kept."
    if exported["calibrated_on"]:
        said = (
            f"Expected calibration error {before:.3f}, negative log-likelihood"
            f" {exported['test/nll_before']:.3f}; after calibration on {exported['calibrated_on']}"
            f" trusted images {ece:.3f} and {exported['test/nll']:.3f}."
        )
    if not dataset["test_labels_are_clean"]:
        said += " By test labels that may be wrong, which makes it look too sure."
    return said


def curves(checkpoints_path):
    """Accuracy and losses over the steps."""
    history = pd.DataFrame(json.loads((Path(checkpoints_path) / "history.json").read_text()))
    accuracy = {"averaged weights": "test/top1", "raw weights": "test/top1_raw"}
    losses = [name for name in history if name.startswith("train/loss")]

    def over_steps(columns):
        return {name: (history.step, history[column]) for name, column in columns.items()}

    losses = {name.removeprefix("train/").replace("_", ", "): name for name in losses}
    return {
        "Accuracy": charts.line_chart(over_steps(accuracy), "step", "test accuracy"),
        "Loss": charts.line_chart(over_steps(losses), "step", "loss, mean since the last test"),
    }


def coefficients(issues, clean, names):
    """Histograms of the score, and of what training learned of its examples."""
    right = numbered(issues, names) == clean
    groups = {"labels that are right": right, "labels that are wrong": ~right}
    if (clean < 0).any() or not all(mask.any() for mask in groups.values()):
        groups = {"all labels": np.full(len(issues), True)}
    captions = {
        "score": ("Suspicion", "score"),
        "weight": ("Learned weights", "mean weight"),
        "lam": ("Label coefficients", "share of steps with given label"),
        "right": ("Trust in training", "mean probability that the label is right"),
    }
    return {
        caption: charts.histogram({g: issues[n][m] for g, m in groups.items()}, across)
        for n, (caption, across) in captions.items()
        if issues[n].notna().all()
    }


def facts(checkpoints_path, made, metrics):
    """Settings, data, results and versions, by name."""
    setup = json.loads((Path(checkpoints_path) / "config.json").read_text())
    plain = {kind: artifacts.scalars(content) for kind, content in made.items()}
    counts = made[artifacts.PREPARED_DATASET]["num_examples"]
    data = {f"{split} images": number for split, number in counts.items()}
    for kind in (artifacts.PREPARED_DATASET, artifacts.NOISY_LABELS):
        data |= {name: value for name, value in plain[kind].items() if name not in OF_ARTIFACTS}
    results = metrics | plain[artifacts.LABEL_AUDIT] | plain[artifacts.EXPORTED_MODEL]
    return {
        "Settings": setup["config"],
        "Data": data,
        "Results": {name: value for name, value in results.items() if "/" in name},
        "Versions": setup["versions"],
        "Artifacts": {kind: content["id"] for kind, content in made.items()},
    }
