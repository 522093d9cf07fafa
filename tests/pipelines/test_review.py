"""A review of a run of the pipeline: killed, resumed, a second round, another run's decisions."""

import json
import os
import signal
import subprocess
import sys

import pandas as pd
import pytest

from pipelines.launch import profiles
from tests.pipelines import golden
from trainer.audit import decisions, rounds

pytestmark = pytest.mark.slow
FEW = ("--max_iteration=20", "--eval_freq=20", "--batch_size=50", "--network_name=convnet")


def pipelines(*arguments, cwd):
    command = [sys.executable, "-m", "pipelines", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory in which a run has finished."""
    cwd = tmp_path_factory.mktemp("review")
    run = ("run", "--method=robust", "--noise_ratio=0.6", "--calibration_per_class=2", *FEW)
    done = pipelines(*run, cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert " -m pipelines review --decisions=decisions.csv\n" in done.stdout
    return cwd


def decided(table, name, start, count):
    """Decisions that take the suggestions of some rows of label_issues.csv."""
    rows = pd.read_csv(table, dtype="str", keep_default_na=False)[start : start + count]
    rows = rows.assign(decision="relabel", label=rows.suggested_label)
    rows[decisions.COLUMNS].to_csv(name, index=False)


def test_two_rounds_the_first_of_which_was_killed(place):
    first_round_is_killed_and_resumes(place)
    second_round(place)


def first_round_is_killed_and_resumes(place):
    first = place / "runs" / "training"
    decided(first / "label_issues.csv", place / "one.csv", 0, 30)
    command = [sys.executable, "-m", "pipelines", "review", "--decisions=one.csv"]
    killed = subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, text=True)
    while "] train" not in (line := killed.stdout.readline()):
        assert line, "it ended"
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    before = {file: file.stat().st_mtime_ns for file in first.iterdir() if file.is_file()}

    done = pipelines("review", "--decisions=one.csv", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "the run in runs/training/rounds/1 resumes" in done.stdout
    for task in ("prepare dataset", "inject noise", "split probe", "apply review"):
        assert f"{task}: done before" in done.stdout
    assert "train: done\n" in done.stdout
    assert "before review round 1" in " ".join(done.stdout.split())
    assert {file: file.stat().st_mtime_ns for file in before} == before


def second_round(place):
    first = place / "runs" / "training"
    decided(first / "rounds/1/label_issues.csv", place / "two.csv", 0, 20)
    decided(first / "label_issues.csv", place / "older.csv", 29, 3)
    rows = pd.concat(pd.read_csv(place / name, dtype="str") for name in ("two.csv", "older.csv"))
    rows.drop_duplicates("id").to_csv(place / "two.csv", index=False)
    done = pipelines("review", "--decisions=two.csv", cwd=place)
    assert done.returncode == 0, done.stderr
    content = json.loads((first / "rounds/2" / rounds.COMPARISON).read_text())
    counts = [each["decisions"] for each in content["rounds"]]
    assert counts[:2] == [0, 30]
    assert counts[2] >= 50
    for name in ("report.html", "label_issues.csv", "comparison.html", "exported_model"):
        assert (first / "rounds/2" / name).exists()
    again = pipelines("review", "--decisions=two.csv", cwd=place)
    assert again.stdout.startswith("runs/training/rounds/2 has these decisions\n")
    assert not (first / "rounds/3").exists()


def test_decisions_of_another_run(place):
    table = pd.read_csv(place / "runs/training/label_issues.csv", dtype="str").head(1)
    table.assign(decision="keep", run="a0").to_csv(place / "other.csv", index=False)
    held = sorted(place.rglob("*"))
    done = pipelines("review", "--decisions=other.csv", cwd=place)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --decisions: must be of a run of --output_dir or below")
    _, runs = done.stderr.split("runs/training is run ")  # the first one and those of its rounds
    assert table.run[0] in runs.split(".")[0].split(", ")
    assert done.stderr.endswith("Received: 'decisions on run a0'\n")
    assert done.stderr.count("\n") == 1
    assert sorted(place.rglob("*")) == held


@pytest.mark.parametrize("backbone", [{}, golden.EMBEDDED])
def test_the_compiled_review(backbone):
    """Training sees the labels and the probe of the review; the embeddings are those of the run."""
    parameters = {"decisions": "gs://bucket/decisions.csv", **backbone}
    spec, _ = golden.compiled("training", profiles.resolve("kubeflow", "kind-cpu"), parameters)
    tasks = next(
        component["dag"]["tasks"]
        for component in spec["components"].values()
        if "apply-review" in component.get("dag", {}).get("tasks", {})
    )
    taken = tasks["train"]["inputs"]["artifacts"]
    makers = {name: source["taskOutputArtifact"]["producerTask"] for name, source in taken.items()}
    reviewed = {"noisy_labels": "apply-review", "probe_split": "apply-review"}
    embedded = {"embeddings": "embed-images"} if backbone else {}
    assert makers == {"prepared_dataset": "prepare-dataset"} | reviewed | embedded
    applied = tasks["apply-review"]["inputs"]["artifacts"]
    makers = {source["taskOutputArtifact"]["producerTask"] for source in applied.values()}
    assert makers == {"prepare-dataset", "inject-noise", "split-probe"}
    assert "decisions" in spec["root"]["inputDefinitions"]["parameters"]
    assert ("backbone" in spec["root"]["inputDefinitions"]["parameters"]) == bool(backbone)
