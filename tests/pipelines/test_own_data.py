"""A user's own images from start to end: trained, audited, reported, served, corrected, again."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
FEW = ("--batch_size=8", "--max_iteration=12", "--eval_freq=12")
SMALL = "--backbone_image_size=32"


def python(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Bright and dark pictures of several sizes, a fifth of them in the wrong folder."""
    root = tmp_path_factory.mktemp("own photos")
    rng = np.random.default_rng(0)
    for folder, count in (("noisy", 40), ("trusted", 10)):
        for number in range(2 * count):
            name = ("bright", "dark")[number % 2]
            wrong = folder == "noisy" and number % 10 < 2
            given = {"bright": "dark", "dark": "bright"}[name] if wrong else name
            pixels = rng.integers(100, size=(70 + number % 5, 80, 3)) + 150 * (name == "bright")
            file = root / folder / given / f"{name} {number}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(file)
    return root


@pytest.fixture(scope="module")
def out(shapes):
    """The outputs of `make run`, with the Python of these tests."""
    make = ["make", "-s", "run", "-o", ".venv/ready", f"BIN={Path(sys.executable).parent}"]
    arguments = (
        f"ARGS={' '.join(FEW)} {SMALL} --calibration_per_class=4 --output_dir='{shapes}/out'"
    )
    make += [f"DATA={shapes}/noisy", f"TRUSTED={shapes}/trusted", arguments]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (shapes / "said.txt").write_text(done.stdout)
    return shapes / "out"


def test_the_end_prints_results_and_the_next_commands(out, shapes):
    lines = (shapes / "said.txt").read_text().splitlines()
    ending = lines[lines.index(f"outputs: {out}") - 4 :]
    accuracy, wrong, listed, report, _, _, _, review, _, again = ending
    assert re.fullmatch(
        r"test accuracy: [\d.]+% of 16 images, by labels that may be wrong", accuracy
    )
    assert re.fullmatch(r"label issues: \d+ of 80 labels", wrong)
    assert (listed, report) == (
        f"list of labels: {out}/label_issues.csv",
        f"report: {out}/report.html",
    )
    assert f"--data={out}/clean_manifest.csv" in shlex.split(again)
    words = ["-m", "pipelines", "review", "--decisions=decisions.csv", f"--output_dir={out}"]
    assert shlex.split(review)[1:] == words


@pytest.mark.slow
def test_a_table_without_trusted_images(shapes, tmp_path):
    files = sorted((shapes / "noisy").rglob("*.jpg"))
    rows = pd.DataFrame({"path": files, "label": [file.parent.name for file in files]})
    rows.to_csv(tmp_path / "photos.csv", index=False)
    table = f"--data={tmp_path}/photos.csv"
    arguments = ("run", "--dataset=csv", table, "--probe_per_class=0", "--backbone=none", *FEW)
    python("pipelines", *arguments, f"--output_dir={tmp_path}/out", cwd=tmp_path)
    assert len(pd.read_csv(tmp_path / "out" / "label_issues.csv")) == 80
    assert (tmp_path / "out" / "report.html").is_file()


def test_labels_are_audited_as_they_came(out):
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["noise"], metrics["noise_ratio"]) == ("none", 0)
    assert metrics["probe_per_class"] == 10
    issues = pd.read_csv(out / "label_issues.csv")
    wrong = [
        Path(path).name.split()[0] != given for path, given in zip(issues.path, issues.given_label)
    ]
    assert np.mean(wrong) == pytest.approx(0.2, abs=0.05)
    report = (out / "report.html").read_text()
    assert "labels may be as noisy as those of training" in report
    assert "accuracy on 8 trusted images" in report


@pytest.mark.slow
def test_images_held_out_for_the_test_are_audited_and_can_be_reviewed(out, tmp_path):
    issues = pd.read_csv(out / "label_issues.csv", dtype="str", keep_default_na=False)
    assert issues.split.value_counts().to_dict() == {"train": 64, "test": 16}
    tested = issues[issues.split == "test"]
    assert (tested.corrected == "0").all()
    before = pd.read_csv(out / "clean_manifest.csv").set_index("path")
    assert list(before.label[tested.path]) == list(tested.given_label)
    first = tested.iloc[[0]].assign(decision="relabel", label=tested.suggested_label)
    second = tested.iloc[[1]].assign(decision="drop")
    pd.concat([first, second]).to_csv(tmp_path / "decisions.csv", index=False)
    arguments = ("--decisions=decisions.csv", f"--output_dir={out}")
    said = python("pipelines", "review", *arguments, cwd=tmp_path)
    assert "2 of the decisions are on test images" in said
    place = out / "rounds" / "1"
    after = pd.read_csv(place / "clean_manifest.csv").set_index("path")
    tests = tested.path.drop(second.index)
    expected = before.label[tests].where(tests.to_numpy() != first.path.item())
    expected = expected.fillna(first.suggested_label.item())
    assert after.label[after.split == "test"].to_dict() == expected.to_dict()
    assert after.label_status[first.path.item()] == "clean"
    again = pd.read_csv(place / "label_issues.csv")
    assert set(again.id[again.split == "test"]) == set(tested.id.astype(int)[2:])


def test_the_model_serves(out, shapes):
    model = out / "exported_model"
    files = sorted(str(file) for file in (shapes / "trusted").rglob("*.jpg"))[:3]
    said = python("trainer", "--mode=predict", f"--model={model}", "--json", *files, cwd=out)
    rows = [json.loads(line) for line in said.splitlines()]
    assert [row["file"] for row in rows] == files
    card = (model / "model_card.md").read_text()
    assert "may be as noisy as those of training" in card
    assert "efficientnet_lite0, frozen, gives" in card


@pytest.mark.slow
def test_corrected_labels_train_again(out, shapes, tmp_path):
    table = f"--data={out}/clean_manifest.csv"
    arguments = ("run", "--source=csv", table, *FEW, SMALL, f"--output_dir={tmp_path}/again")
    python("pipelines", *arguments, cwd=tmp_path)
    issues = pd.read_csv(tmp_path / "again" / "label_issues.csv").set_index("path")
    first = pd.read_csv(out / "label_issues.csv").set_index("path")
    expected = first.suggested_label.where(first.corrected == 1, first.given_label)
    assert (issues.given_label == expected[issues.index]).all()
