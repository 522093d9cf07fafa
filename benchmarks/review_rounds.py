"""Rounds of review whose decisions are the true labels: what looks gain, and what the page expects.

python -m benchmarks.review_rounds DATA.csv --test=DIR --out=DIR --label_column=worst
    --clean_label_column=label [--looks=200,500] [--seeds=3] [flags of `python -m pipelines run`]

The looks are taken in the order of the page, by expected gain; in a second round 500 looks are
those of the first and 300 further ones, in the order of the first round's audit. A row of a seed:
labels right after correction, truly and by the estimate of that audit with its range, test
accuracy, and what the first audit expected of so many looks. A run or a round that is there is not
made again.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from absl import app, flags
from tabulate import tabulate

from trainer import artifacts
from trainer.audit import decisions, kept_labels, rounds
from trainer.data import records
from trainer.errors import InputError
from trainer.report import budget, gallery

OUT = flags.DEFINE_string("out", None, "directory for the runs", required=True)
LOOKS = flags.DEFINE_list("looks", ["200", "500"], "looks after each round, in all")
flags.register_validator("looks", lambda looks: all(n.isdigit() for n in looks), "must be numbers")
SEEDS = flags.DEFINE_integer("seeds", 3, "number of seeds, which are 0, 1, ...")
MEASURES = {
    "labels right": "true/labels_right_corrected",
    "estimated": "estimated/labels_right_corrected",
    "lower end": "estimated/labels_right_corrected_low",
    "upper end": "estimated/labels_right_corrected_high",
    "test accuracy": "test/top1",
}


def pipelines(*arguments):
    command = [sys.executable, "-m", "pipelines", *arguments]
    subprocess.run(command, check=True, stdout=sys.stderr)


def issues_of(place):
    """The label issues of training images of a run or a round, by expected gain."""
    rows = rounds.audited_table(place)
    rows = rows[rows.split == "train"]
    return rows.iloc[np.argsort(-gallery.expected_gain(rows), kind="stable")]


def decide(place, root, count, file):
    """Writes decisions on the first labels, by the true ones."""
    dataset = rounds.artifact_directory(root, artifacts.PREPARED_DATASET)
    names = records.read_manifest(dataset)["class_names"]
    rows = issues_of(place).head(count)
    clean = records.read_clean_labels(dataset)[rows.id]
    if np.any(clean < 0):
        raise InputError("--clean_label_column", "must have the true label of each image", "none")
    true = np.array(names, object)[clean]
    right = (true == rows.given_label).to_numpy()
    rows = rows.assign(
        decision=np.where(right, decisions.KEEP, decisions.RELABEL), label=np.where(right, "", true)
    )
    decisions.write(rows, file)


def review(root, looks):
    """Makes the rounds; returns the content of the last comparison."""
    places = [root]
    for number, (done, looked) in enumerate(zip([0, *looks], looks), 1):
        place = root / rounds.ROUNDS / str(number)
        if not rounds.is_finished(place):
            file = root / f"decisions_{looked}.csv"
            decide(places[-1], root, looked - done, file)
            pipelines("review", f"--decisions={file}", f"--output_dir={root}")
        places.append(place)
    return json.loads((places[-1] / rounds.COMPARISON).read_text())


def rows_of(seed, given):
    root, looks = Path(OUT.value).absolute() / str(seed), sorted(map(int, LOOKS.value))
    if not (root / "run.json").is_file():
        own = "--dataset=csv", "--method=robust", "--backbone=efficientnet_lite0"
        pipelines("run", *own, *given, f"--seed={seed}", f"--output_dir={root}")
    gain, audit = gallery.expected_gain(issues_of(root)), rounds.read(root, artifacts.LABEL_AUDIT)
    wrong = kept_labels.wrong_at_ends(gain, audit)["estimated"]
    expected = budget.right_after_looks(wrong, np.arange(len(wrong)))
    for looked, measured in zip([0, *looks], review(root, looks)["rounds"], strict=True):
        row = {title: measured[name] for title, name in MEASURES.items()}
        yield {"looks": looked, "seed": seed, **row, "expected at first": expected[looked]}


def table(rows):
    """Mean and standard deviation over seeds, in %."""
    grouped = 100 * pd.DataFrame(rows).drop(columns="seed").set_index("looks")
    grouped = grouped.groupby(level=0)
    mean, deviation = grouped.mean(), grouped.std()
    cells = mean.map("{:.1f}".format)
    if SEEDS.value > 1:
        cells += " ± " + deviation.map("{:.1f}".format)
    return tabulate(cells, headers="keys", tablefmt="github", disable_numparse=True)


def main(arguments):
    if len(arguments) < 2:
        raise app.UsageError("a table of images and labels must be given")
    if not any(flag.startswith("--clean_label_column=") for flag in arguments):
        raise app.UsageError("--clean_label_column must be given: decisions are the true labels")
    data, given = arguments[1], [f"--data={os.path.abspath(arguments[1])}", *arguments[2:]]
    rows = []
    for seed in range(SEEDS.value):
        for row in rows_of(seed, given):
            rows.append(row)
            print(json.dumps(row), flush=True)
    print(f"\n{data}\n{table(rows)}")


if __name__ == "__main__":
    app.run(main, flags_parser=lambda argv: flags.FLAGS(argv, known_only=True))
