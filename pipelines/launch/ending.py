"""The last lines of a run: test accuracy, label issues, files, and the next commands."""

import csv
import json
import os
import shlex
import shutil
import sys
from pathlib import Path

from trainer import artifacts
from trainer.data.sources import class_names
from trainer.evaluation import comparison


def say(name, root, content, paths, gained=""):
    """The last lines of a run.

    Args:
      name: Of the pipeline.
      root: Output directory.
      content: Of metrics.json or summary.json.
      paths: Paths of artifacts by kind.
      gained: Of a round of review, what it has gained.
    """
    summary = content if name == "sweep" else comparison.collect_runs([content])
    lines = ["", comparison.table(summary), ""]
    if name != "sweep":
        lines += accuracy(content, paths)
    if artifacts.BACKBONE_CHOICE in paths:
        lines.append(f"network: {read(paths[artifacts.BACKBONE_CHOICE])['sentence']}")
    if artifacts.LABEL_AUDIT in paths:
        lines += labels(root, paths[artifacts.LABEL_AUDIT])
    lines += ["", gained] if gained else []
    if (root / "report.html").is_file():
        lines.append(f"report: {root / 'report.html'}")
    lines.append(f"outputs: {root}")
    if artifacts.LABEL_AUDIT in paths:
        lines += following(root, read(paths[artifacts.PREPARED_DATASET]))
    return "\n".join(lines) + "\n"


def accuracy(content, paths):
    """Test accuracy, and what it was measured on."""
    dataset = read(paths[artifacts.PREPARED_DATASET])
    top1, tested = content["test/top1"], dataset["num_examples"]["test"]
    line = f"test accuracy: {top1:.1%} of {tested:,} images, whose labels are clean"
    if not dataset["test_labels_are_clean"]:
        line = f"test accuracy: {top1:.1%} of {tested:,} images, by labels that may be wrong"
    return [line]


def labels(root, audit):
    """Number of label issues, and the file that lists them."""
    with open(audit / "label_issues.csv", encoding="utf-8", newline="") as file:
        audited = sum(1 for _ in csv.reader(file)) - 1  # names may have line ends
    issues = read(audit)["num_issues"]
    return [
        f"label issues: {issues:,} of {audited:,} labels",
        f"list of labels: {root / 'label_issues.csv'}",
    ]


def following(root, dataset):
    """The next commands after a run on this prepared dataset."""
    from trainer.audit import rounds  # takes a second

    cleaned, first = root / "clean_manifest.csv", root
    if root.parent.name == rounds.ROUNDS:
        first = root.parent.parent
    review = ["pipelines", "review", f"--decisions={rounds.DECISIONS}"]
    if first.resolve().parent != Path(rounds.RUNS).resolve():
        review.append(f"--output_dir={first}")
    lines = [
        "",
        "next, decide in the report, save the decisions, and run, with the path of that file:",
        command(*review),
    ]
    if cleaned.is_file():
        again = ["pipelines", "run", "--dataset=csv", f"--data={cleaned}"]
        if class_names.need_keeping(dataset["class_names"]):
            again.append("--label_case=keep")
        lines += ["or train on the corrected labels as new data:", command(*again)]
    return lines


def command(module, *arguments):
    """A command line to paste, with this Python by its shortest name."""
    python = os.path.relpath(sys.executable)
    if shutil.which("python") == sys.executable:
        python = "python"
    elif python.startswith(os.pardir):
        python = sys.executable
    return "  " + shlex.join([python, "-m", module, *arguments])


def read(artifact):
    return json.loads((Path(artifact) / artifacts.MANIFEST).read_text())
