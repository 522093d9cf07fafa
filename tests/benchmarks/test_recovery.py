"""The benchmark of long training, from a table of photographs to curves."""

from pathlib import Path

import pandas as pd
import pytest

from tests import commands

ROOT = Path(__file__).parents[2]
RUNS = ["ieg, uniform 0.4", "supervised, uniform 0.4"]


@pytest.mark.slow
def test_curves_of_both_methods_and_none_trained_again(photographs, tmp_path):
    command = [
        *("benchmarks.recovery", f"--data={photographs}/train.csv", f"--test={photographs}/test"),
        *(f"--out={tmp_path}", "--ratios=0.4", "--network_name=convnet", "--probe_per_class=3"),
        *("--batch_size=20", "--max_iteration=20", "--eval_freq=2"),
    ]
    done = commands.run(*command, cwd=ROOT)
    assert not done.returncode, done.stderr
    curves = pd.read_csv(tmp_path / "curves.csv")
    assert sorted(set(curves.run)) == RUNS
    for _, rows in curves.groupby("run"):
        assert list(rows.step) == list(range(2, 21, 2))
    assert "--lr_schedule=cosine " in done.stderr  # of the release, not of own images
    last = curves[curves.step == 20].set_index("run")["test/top1"]
    shown = done.stdout.splitlines()[-1].split("|")
    assert [float(cell) for cell in shown[1:-1]] == [20, *(100 * last[RUNS]).round(1)]
    manifests = [file.stat().st_mtime_ns for file in tmp_path.glob("*/checkpoints/manifest.json")]
    assert commands.run(*command, cwd=ROOT).stdout == done.stdout
    assert manifests == [
        file.stat().st_mtime_ns for file in tmp_path.glob("*/checkpoints/manifest.json")
    ]


@pytest.mark.slow
def test_a_run_that_fails_is_named(photographs, tmp_path):
    command = ("benchmarks.recovery", f"--data={photographs}/none.csv", f"--out={tmp_path}")
    done = commands.run(*command, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ieg, uniform 0.4: error: --data: must exist")
