"""The choice of --backbone=auto in a pipeline, by images of which a small backbone sees nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import ON_EACH_RUNNER
from tests.trainer.evaluation.test_choice import GIVEN, SCRATCH, draw, stripes
from trainer import artifacts

pytestmark = pytest.mark.slow
FLAGS = GIVEN | SCRATCH | {"backbone": "auto", "backbone_image_size": 16, "output_dir": "out"}


def python(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=ON_EACH_RUNNER)
def place(request, tmp_path_factory):
    """A directory in which a run has finished."""
    if request.param == "docker":
        request.getfixturevalue("engine")
    root = tmp_path_factory.mktemp("choice")
    for seed, (name, count) in enumerate((("data", 60), ("trusted", 10), ("test", 10))):
        draw(root / name, stripes, count, seed)
    data = (f"--{name}={name}" for name in ("data", "trusted", "test"))
    run = "run", f"--runner={request.param}"
    flags = (f"--{name}={value}" for name, value in FLAGS.items())
    (root / "said.txt").write_text(python("pipelines", *run, *data, *flags, cwd=root))
    return root


def found(root, pattern, kind):
    (file,) = root.glob(f"{pattern}/{kind}/{artifacts.MANIFEST}")
    return artifacts.read(file.parent, kind)


def test_a_network_from_scratch_takes_the_place_of_embeddings(place):
    choice = found(place / "out", "training-*/choose-backbone", artifacts.BACKBONE_CHOICE)
    assert choice["chosen"] == "scratch"
    embeddings, finetuning, scratch = choice["rows"]
    assert finetuning["budget"] == "not tried: a pipeline leaves it out; run one with --finetune"
    assert scratch["accuracy"] > embeddings["accuracy"] + 0.2
    assert f"network: {choice['sentence']}\n" in (place / "said.txt").read_text()
    run = found(place / "out", "training-*/train", artifacts.CHECKPOINTS)
    assert run["config"]["network_name"] == "convnet"
    assert run["backbone_choice"]["rows"] == choice["rows"]
    assert json.loads((place / "out" / "metrics.json").read_text())["test/top1"] > 0.9


def test_what_follows_is_of_the_chosen_network(place):
    for task, kind in (
        ("audit-labels-*", artifacts.LABEL_AUDIT),
        ("export-model", artifacts.EXPORTED_MODEL),
    ):
        assert "embeddings" not in found(place / "out", f"training-*/{task}", kind)["parents"]
    page = (place / "out" / "report.html").read_text()
    rows = page.split("Choice of the network")[1].split("</table>")[0]
    assert "run one with --finetune" in rows
    assert rows.count("<td>yes</td>") == 1
    files = sorted(map(str, (place / "test").rglob("*.png")))
    said = python(
        "trainer", "--mode=predict", "--model=out/exported_model", "--json", *files, cwd=place
    )
    rows = [json.loads(line) for line in said.splitlines()]
    right = [row["class"] == Path(row["file"]).parent.name for row in rows]
    assert sum(right) > 0.9 * len(files)


def test_a_review_keeps_the_choice(place):
    issues = pd.read_csv(place / "out" / "label_issues.csv", dtype="str", keep_default_na=False)
    issues.head(5).assign(decision="relabel", label=issues.suggested_label).to_csv(
        place / "decisions.csv", index=False
    )
    said = python("pipelines", "review", "--decisions=decisions.csv", "--output_dir=out", cwd=place)
    assert "choose backbone: done before" in said
    run = found(place / "out" / "rounds" / "1", "training-*/train", artifacts.CHECKPOINTS)
    assert run["backbone_choice"]["chosen"] == "scratch"
