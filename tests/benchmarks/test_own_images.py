"""The benchmark of own images, from a table of photographs to the rows of results."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests import commands

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
ALL, FEW = 48, 32
BASELINES = (
    "logistic regression",
    "logistic regression + cleanlab",
    "logistic regression + cleanlab, ranked by normalised margin",
    "logistic regression, trusted images alone",
    "logistic regression, true labels",
)


@pytest.fixture(scope="module")
def run(photographs, own_backbone):
    """A function that runs the benchmark with further flags."""

    def run(*arguments, table="train.csv"):
        given = [
            *("benchmarks.own_images", str(photographs / table), f"--test={photographs}/test"),
            *(f"--out={photographs}/out", "--label_column=human", "--clean_label_column=label"),
            *(f"--backbone={own_backbone}", "--probe_per_class=3", "--batch_size=20"),
            *("--max_iteration=6", "--eval_freq=6", *arguments),
        ]
        return commands.run(*given, cwd=ROOT)

    return run


@pytest.fixture(scope="module")
def measured(run, photographs):
    """Rows of two sizes, two kinds of noise and two seeds, and what the command said."""
    arguments = "--noise=human,uniform_0.5", f"--images={ALL},{FEW}", "--methods=robust,supervised"
    done = run("--seeds=2", *arguments)
    assert not done.returncode, done.stderr
    lines = (photographs / "out" / "rows.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], done.stdout


def test_each_row_is_measured_for_each_size_noise_and_seed(measured):
    rows, _ = measured
    found = [(row["images"], row["noise"], row["seed"], row["row"]) for row in rows]
    names = ("robust", "supervised", *BASELINES)
    assert sorted(found) == sorted(
        (images, noise, seed, name)
        for images in (ALL, FEW)
        for noise in ("human", "uniform_0.5")
        for seed in (0, 1)
        for name in names
    )


def test_baseline_and_ours_audit_the_same_labels(measured):
    rates = {}
    for row in measured[0]:
        if "noise_rate" in row:
            key = row["images"], row["noise"], row["seed"]
            rates.setdefault(key, set()).add(row["noise_rate"])
    assert len(rates) == 8
    assert all(len(found) == 1 for found in rates.values())
    human = [rate for (images, noise, _), (rate,) in rates.items() if noise == "human"]
    assert all(0.15 < rate < 0.35 for rate in human)


def test_logistic_regression_learns_and_cleanlab_finds_wrong_labels(measured):
    for row in measured[0]:
        if row["row"] == "logistic regression, true labels":
            assert row["accuracy"] == 1
            assert row["auroc"] > 0.9
            assert row["labels_right"] > 0.9
        if row["row"] == "logistic regression + cleanlab" and row["noise"] == "human":
            assert row["accuracy"] > 0.8
            assert row["auroc"] > 0.8


def test_the_table_has_means_and_spreads(measured):
    rows, said = measured
    key = {"images": FEW, "noise": "human", "row": "robust"}
    values = [100 * row["accuracy"] for row in rows if key.items() <= row.items()]
    (line,) = [
        line
        for line in said.splitlines()
        if line.startswith("| 32 ") and "human  " in line and "| robust " in line
    ]
    assert f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}" in line


def test_rows_that_are_there_are_not_measured_again(measured, run, photographs):
    file = photographs / "out" / "rows.jsonl"
    before = file.read_text()
    lines = before.splitlines()
    file.write_text("\n".join(lines[:-1]) + "\n")
    done = run("--seeds=2", "--noise=uniform_0.5", f"--images={FEW}", "--methods=robust")
    assert not done.returncode, done.stderr
    again = file.read_text().splitlines()
    assert again[:-1] == lines[:-1]
    found, expected = json.loads(again[-1]), json.loads(lines[-1])
    assert found | {"seconds": 0} == expected | {"seconds": 0}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--noise=other"], "error: --dataset: must be <dataset>_<noise>_<ratio>"),
        (["--noise=asymmetric_0.4"], "error: --noise_file: must name a JSON map"),
        (["--images=49"], "error: --images: must be from 8 to 48. Received: '49'"),
        (["--seed=1"], "error: --seed: is not for this benchmark"),
        (["--methods=none"], "error: --methods: must be one of"),
        (["--max_iteration=7"], "error: --out: "),
    ],
)
def test_wrong_input_is_refused_in_one_line(measured, run, arguments, said):
    done = run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
