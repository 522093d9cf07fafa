"""The benchmark of review rounds, from a table to labels that are right."""

import json
from pathlib import Path

import pytest

from tests import commands

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_decisions_by_the_true_labels_make_labels_right(photographs, own_backbone, tmp_path):
    command = [
        *("benchmarks.review_rounds", str(photographs / "train.csv")),
        *(f"--test={photographs}/test", f"--out={tmp_path}/out", "--label_column=human"),
        *("--clean_label_column=label", f"--backbone={own_backbone}", "--probe_per_class=3"),
        *("--batch_size=20", "--max_iteration=6", "--eval_freq=6", "--looks=4,40", "--seeds=1"),
    ]
    done = commands.run(*command, cwd=ROOT)
    assert not done.returncode, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [row["looks"] for row in rows] == [0, 4, 40]
    assert rows[-1]["labels right"] > 0.95  # 40 of the 42 audited labels
    assert all(row["lower end"] <= row["estimated"] <= row["upper end"] for row in rows)
    expected = [row["expected at first"] for row in rows]
    assert expected == sorted(expected)
    again = commands.run(*command, cwd=ROOT)
    assert again.stdout == done.stdout
