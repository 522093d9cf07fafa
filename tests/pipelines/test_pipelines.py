"""The pipelines as users start them: through their command line, on this machine."""

import json
import re
import signal
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest
import yaml

from tests.conftest import ON_EACH_RUNNER
from tests.webvision_files import write_imagenet_val, write_release
from trainer.audit import label_issues

FEW_STEPS = ("--max_iteration=12", "--eval_freq=12")


def command(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def start(*arguments, cwd):
    """`python -m pipelines` in the background."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module", params=ON_EACH_RUNNER)
def sweep(request, tmp_path_factory):
    """A sweep over two methods with few steps: the finished command and where it ran."""
    if request.param == "docker":
        request.getfixturevalue("engine")
    cwd = tmp_path_factory.mktemp("sweep")
    sweep = ("run", "--pipeline=sweep", "--methods=l2r,supervised", "--output_dir=out", "--seed=3")
    done = command("pipelines", *sweep, f"--runner={request.param}", *FEW_STEPS, cwd=cwd)
    return done, cwd


def test_sweep_leaves_a_summary(sweep):
    done, cwd = sweep
    assert done.returncode == 0, done.stderr
    summary = json.loads((cwd / "out" / "summary.json").read_text())
    assert (summary["dataset"], summary["noise"]) == ("digits", "uniform")
    runs = [(run["noise_ratio"], run["method"], run["seed"]) for run in summary["runs"]]
    assert runs == [(0.9, "supervised", 3), (0.9, "l2r", 3)]
    for metrics in summary["runs"]:
        assert 0 <= metrics["test/top1"] <= 1
        assert metrics["seconds"] > 0


def test_sweep_shows_progress_and_a_table(sweep):
    done, _ = sweep
    assert "l2r: 100%|" in done.stdout
    for line in ("[1/11] prepare dataset: done", "/11] train: done", "[11/11] record status: done"):
        assert line in done.stdout
    header, rule, *rows = done.stdout[done.stdout.index("\nmethod") + 1 :].splitlines()
    *rows, _, report, last = rows
    assert header.split()[:3] == ["method", "noise", "ratio"]
    assert set(rule) == {"-", " "}
    assert [row.split()[0] for row in rows] == ["supervised", "l2r"]
    assert (report, last) == ("report: out/report.html", "outputs: out")
    assert "KFP Executor" not in done.stdout
    assert done.stderr == ""


def test_sweep_keeps_artifacts_log_and_yaml(sweep):
    _, cwd = sweep
    out = cwd / "out"
    assert "KFP Executor" in (out / "log.txt").read_text()
    assert yaml.safe_load((out / "pipeline.yaml").read_text())["pipelineInfo"]["name"] == "sweep"
    (status,) = out.glob("sweep-*/record-status/final_status")
    assert json.loads(status.read_text())["state"] == "SUCCEEDED"
    (table,) = out.glob("sweep-*/compare-runs/table")
    assert table.read_text().startswith("| method")
    assert len(list(out.glob("sweep-*/*/train/model/model.keras"))) == 2
    assert "<h1>digits, uniform noise</h1>" in (out / "report.html").read_text()


@pytest.mark.slow
def test_the_trainer_alone_gives_the_same_numbers(sweep):
    _, cwd = sweep
    alone = command(
        "trainer",
        "--dataset=digits_uniform_0.9",
        "--method=l2r",
        "--seed=3",
        "--checkpoint_path=alone",
        *FEW_STEPS,
        cwd=cwd,
    )
    assert alone.returncode == 0, alone.stderr
    summary = json.loads((cwd / "out" / "summary.json").read_text())
    metrics = json.loads((cwd / "alone" / "metrics" / "metrics.json").read_text())
    for name in ("test/top1", "test/top1_raw", "test/top5", "test/top5_raw"):
        assert metrics[name] == summary["runs"][1][name]
    in_pieces = ("--dataset=digits", "--noise=uniform", "--noise_ratio=0.9")
    evaluation = ("trainer", "--mode=evaluation", "--checkpoint_path=alone")
    again = command(*evaluation, *in_pieces, cwd=cwd)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout[: again.stdout.rindex("}") + 1]) == metrics


@pytest.mark.slow
def test_a_training_run_leaves_metrics(tmp_path):
    done = command(
        "pipelines",
        "run",
        "--method=supervised",
        "--dataset=digits",
        "--noise=asymmetric",
        "--noise_ratio=0.4",
        "--seed=1",
        "--probe_dataset_hold_ratio=0.02",
        *FEW_STEPS,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "runs" / "training" / "metrics.json").read_text())
    assert (metrics["method"], metrics["noise"], metrics["noise_ratio"]) == (
        "supervised",
        "asymmetric",
        0.4,
    )
    assert metrics["probe_per_class"] == 2
    assert metrics["audit/noise_rate"] == pytest.approx(metrics["wrong_labels"], abs=0.02)
    issues = pd.read_csv(tmp_path / "runs" / "training" / "label_issues.csv")
    assert set(issues.columns) >= set(label_issues.COLUMNS)
    report = (tmp_path / "runs" / "training" / "report.html").read_text()
    assert "<h1>digits</h1>" in report


@pytest.mark.slow
def test_wrong_input_found_by_a_task(tmp_path):
    """It is not tried again."""
    settings = ("--method=fsr", "--queue_bs=7", *FEW_STEPS)
    done = command("pipelines", "run", *settings, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --queue_bs: must be a multiple of 10 classes")
    assert done.stderr.count("\n") == 1
    assert "retry in" not in done.stdout
    assert {file.name for file in tmp_path.glob("runs/training/[!.]*.*")} == {"log.txt", "run.json"}


@pytest.mark.slow
def test_folds_audit_labels_they_have_not_seen(tmp_path):
    done = command(
        "pipelines", "run", "--method=supervised", "--audit_folds=2", *FEW_STEPS, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    (audit,) = (tmp_path / "runs" / "training").glob("training-*/**/label_audit/manifest.json")
    parents = json.loads(audit.read_text())["parents"]
    assert {"checkpoints_0", "checkpoints_1"} < set(parents)
    assert len(list(tmp_path.glob("**/checkpoints/manifest.json"))) == 3


@pytest.mark.slow
@pytest.mark.parametrize("runner", ON_EACH_RUNNER)
def test_a_signal_ends_all_tasks(runner, request, tmp_path):
    """Also tasks of a loop, which kfp alone would wait for, and retry."""
    engine = request.getfixturevalue("engine") if runner == "docker" else None
    arguments = ("run", "--pipeline=sweep", f"--runner={runner}", "--max_iteration=100000")
    process = start(*arguments, cwd=tmp_path)
    while "steps/s" not in process.stdout.readline():
        assert process.poll() is None
    tasks = psutil.Process(process.pid).children(recursive=True)
    other = start(*arguments, cwd=tmp_path)
    assert "in use by process" in (line := other.stdout.readline()), line
    other.send_signal(signal.SIGTERM)
    other.communicate(timeout=60)
    assert other.returncode == 143
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "interrupted; the same command resumes\n")
    assert not psutil.wait_procs(tasks, timeout=30)[1]
    if engine:
        sources = [m["Source"] for c in engine.containers.list(all=True) for m in c.attrs["Mounts"]]
        assert not [source for source in sources if source.startswith(str(tmp_path))]


@pytest.mark.slow
def test_what_was_killed_is_resumed(tmp_path):
    """Also while one of its tasks, which is still alive, writes."""
    arguments = ("run", "--pipeline=sweep", "--methods=supervised", "--max_iteration=150")
    arguments += ("--eval_freq=10",)
    process = start(*arguments, cwd=tmp_path)
    while not list(tmp_path.glob("runs/sweep/sweep-*/*/train/checkpoints/last/checkpoint")):
        assert process.poll() is None
        time.sleep(0.1)
    process.kill()
    process.communicate()
    done = command("pipelines", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the run in runs/sweep resumes\n")
    assert "[1/7] prepare dataset: done before" in done.stdout
    assert re.search(r"resuming at step \d+\n", done.stdout)
    (run,) = json.loads((tmp_path / "runs" / "sweep" / "summary.json").read_text())["runs"]
    assert run["test/top1"] > 0.1
    assert len(list(tmp_path.glob("runs/*/sweep-*"))) == 1


@pytest.mark.slow
def test_the_webvision_experiment_is_tested_on_imagenet_too(tmp_path):
    release = write_release(tmp_path / "release")
    imagenet_val = write_imagenet_val(tmp_path / "ILSVRC2012_img_val.tar")
    settings = {
        **{"data": release, "imagenet_val": imagenet_val, "probe_per_class": 2},
        **{"network_name": "convnet", "image_size": 16, "batch_size": 4, "val_batch_size": 50},
        **{"max_iteration": 4, "eval_freq": 4},
    }
    flags = [f"--{name}={value}" for name, value in settings.items()]
    run = ("pipelines", "run", "--experiment=ieg_webvision", "--output_dir=out")
    done = command(*run, *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["method"], metrics["dataset"]) == ("ieg", "webvisionmini")
    assert metrics.keys() >= {"test/top1", "imagenet/top1"}
    assert "evaluate on ImageNet: done" in done.stdout
    assert "ImageNet top-1, %" in done.stdout
