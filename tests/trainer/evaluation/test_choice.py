"""The choice of --backbone=auto: embeddings where they tell the classes apart, else scratch."""

import dataclasses
import functools
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests import commands
from trainer import artifacts, local_run
from trainer.data import probe, records
from trainer.errors import InputError
from trainer.evaluation import choice
from trainer.evaluation.choice import Outcome
from trainer.settings.data import DataSettings
from trainer.training import candidates, configuration

SIDE = 32
SCRATCH = {"image_size": SIDE, "network_name": "convnet", "crop_padding": 0}
GIVEN = {"method": "supervised", "max_iteration": 240, "batch_size": 20, "learning_rate": 0.05}


def shade(rng, label):
    """Bright or dark, which a backbone sees."""
    return rng.normal((70, 180)[label], 60, (SIDE, SIDE, 3))


def stripes(rng, label):
    """Rows or columns of a pixel in any phase, of which nothing is left at half the size."""
    phase, contrast = rng.integers(2), rng.uniform(60, 100)
    pixels = 128 + contrast * (-1.0) ** (np.indices((SIDE, SIDE))[label] + phase)
    return pixels[..., np.newaxis] + rng.normal(0, 10, (SIDE, SIDE, 3))


def draw(folder, pixels, count, seed):
    rng = np.random.default_rng(seed)
    for label, name in enumerate(("a", "b")):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            drawn = np.clip(pixels(rng, label), 0, 255).astype(np.uint8)
            Image.fromarray(drawn).save(folder / name / f"{number}.png")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A function that draws images. Returns their `DataSettings`."""

    @functools.cache
    def drawn(pixels, trusted=10):
        root = tmp_path_factory.mktemp("drawn")
        for seed, (name, count) in enumerate((("data", 60), ("trusted", trusted), ("test", 10))):
            draw(root / name, pixels, count, seed)
        paths = {name: str(root / name) for name in ("data", "trusted", "test")}
        return DataSettings(**paths, probe_per_class=trusted)

    return drawn


@pytest.fixture(scope="module")
def run(drawn, own_backbone, tmp_path_factory):
    """A function that trains with --backbone=auto, of a small backbone. Returns the directory."""

    def run(pixels, root=None, **given):
        root = root or tmp_path_factory.mktemp("run")
        given = {"backbone": "auto"} | GIVEN | SCRATCH | given
        choices = candidates.candidates("image_folder", **given)
        own = {"backbone": str(own_backbone)}
        choices = {
            name: dataclasses.replace(each, **own if each.backbone != "none" else {})
            for name, each in choices.items()
        }
        local_run.train(
            root,
            "image_folder",
            "uniform",
            0.2,
            files=drawn(pixels),
            settings=configuration.resolve("image_folder", **given),
            worker=0,
            send=lambda _: None,
            choices=choices,
        )
        return root

    return run


@pytest.fixture(scope="module")
def of_stripes(run):
    return run(stripes)


def chosen_of(root):
    return artifacts.read(root / "checkpoints", artifacts.CHECKPOINTS)["backbone_choice"]


@pytest.mark.slow
def test_embeddings_where_the_backbone_sees_the_classes(run, own_backbone):
    root = run(shade)
    made = artifacts.read(root / "checkpoints", artifacts.CHECKPOINTS)
    assert made["backbone_choice"]["chosen"] == "embeddings"
    assert made["config"]["backbone"] == str(own_backbone)
    assert made["config"]["max_iteration"] == 240
    first, *others = made["backbone_choice"]["rows"]
    assert first["accuracy"] >= choice.ENOUGH
    assert [row["budget"] for row in others] == ["not tried: embeddings reach 99%"] * 2
    assert not (root / "choice" / "scratch").exists()


@pytest.mark.slow
def test_scratch_where_only_the_pixels_tell_the_classes_apart(of_stripes):
    made = artifacts.read(of_stripes / "checkpoints", artifacts.CHECKPOINTS)
    assert made["backbone_choice"]["chosen"] == "scratch"
    assert made["config"]["network_name"] == "convnet"
    assert made["config"]["backbone"] == "none"
    embeddings, finetuning, scratch = made["backbone_choice"]["rows"]
    assert finetuning["budget"] == "not tried: no GPU is visible"
    assert scratch["budget"] == "60 steps, 25% of its run: a lower bound"
    assert scratch["accuracy"] > embeddings["accuracy"] + 0.2
    assert [row["chosen"] for row in (embeddings, finetuning, scratch)] == [False, False, True]


@pytest.mark.slow
def test_no_candidate_learns_from_the_images_that_it_predicts(of_stripes):
    dataset = records.read_manifest(of_stripes / "prepared_dataset")
    whole, train_ids, _ = probe.read_split(of_stripes / "probe_split", dataset)
    clean, held = records.read_clean_labels(of_stripes / "prepared_dataset"), []
    for number in range(choice.FOLDS):
        path = of_stripes / "choice" / "folds" / str(number) / "probe_split"
        kept, seen, _ = probe.read_split(path, dataset)
        held.append(np.setdiff1d(whole, kept))
        np.testing.assert_array_equal(seen, train_ids)
        for ids in (kept, held[-1]):
            assert np.bincount(clean[ids]).tolist() == [5, 5]
        for name in ("embeddings/100", "scratch/25"):
            run = of_stripes / "choice" / name / str(number) / "checkpoints"
            parents = artifacts.read(run, artifacts.CHECKPOINTS)["parents"]
            assert parents["probe_split"] == artifacts.read(path, artifacts.PROBE_SPLIT)["id"]
    np.testing.assert_array_equal(np.sort(np.concatenate(held)), np.sort(whole))


@pytest.mark.slow
def test_the_report_has_a_row_for_each(of_stripes):
    local_run.evaluate(of_stripes, DataSettings())
    local_run.audit(of_stripes, 0)
    local_run.export(of_stripes)
    local_run.report(of_stripes)
    page = (of_stripes / "report.html").read_text()
    found = chosen_of(of_stripes)
    assert f"takes {found['sentence']}." in page
    rows = page.split("Choice of the network")[1].split("</table>")[0]
    assert [re.search("<td>(.*?)</td>", row)[1] for row in rows.split("<tr>")[2:]] == [
        "head on embeddings of own.keras",
        "own.keras, fine-tuned",
        "convnet from scratch",
    ]
    assert rows.count("<td>yes</td>") == 1
    assert f"<td>{found['rows'][2]['accuracy']:.1%}</td>" in rows


@pytest.mark.slow
def test_finished_candidates_are_not_repeated(run, of_stripes):
    """A choice that was cut off resumes with the candidates that are left; a made one stays."""
    before = chosen_of(of_stripes)
    manifests = sorted((of_stripes / "choice").rglob("checkpoints/manifest.json"))
    written = [file.stat().st_mtime_ns for file in manifests]
    assert len(manifests) == 4
    for repeated in (False, True):
        if not repeated:
            (of_stripes / "choice" / "result" / "manifest.json").unlink()
            manifests[-1].unlink()  # as if the last run had been killed at its end
        run(stripes, of_stripes)
        found = artifacts.read(of_stripes / "choice" / "result", artifacts.BACKBONE_CHOICE)
        assert found["chosen"] == before["chosen"] == "scratch"
        for row, earlier in zip(found["rows"], before["rows"], strict=True):
            assert row["accuracy"] == earlier["accuracy"]
        assert [file.stat().st_mtime_ns for file in manifests[:-1]] == written[:-1]


@pytest.mark.slow
def test_the_command_line(drawn, tmp_path):
    """EfficientNet-Lite0 on few small images, whose bright and dark ones it tells apart."""
    files = dataclasses.asdict(drawn(shade))
    flags = {name: files[name] for name in ("data", "trusted", "test", "probe_per_class")}
    flags |= {"backbone": "auto", "backbone_image_size": 32, "checkpoint_path": tmp_path / "out"}
    flags |= GIVEN | SCRATCH | {"max_iteration": 100}
    command = [sys.executable, "-m", "trainer", *(f"--{n}={value}" for n, value in flags.items())]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said = "--backbone=auto takes head on embeddings of efficientnet_lite0, by accuracy on 20"
        assert said in done.stdout
    assert "--backbone=auto tries" not in done.stdout
    assert json.loads((tmp_path / "out" / "run.json").read_text())["backbone"] == "auto"
    assert chosen_of(tmp_path / "out")["chosen"] == "embeddings"


def test_one_trusted_image_of_each_class_is_too_few(drawn, tmp_path):
    root = tmp_path
    records.prepare("image_folder", root / "prepared_dataset", drawn(shade, trusted=1))
    probe.split(root / "prepared_dataset", root / "probe_split", per_class=1, seed=0)
    choices = candidates.candidates("image_folder", **GIVEN)
    place = root / "choice"
    data = local_run.data_paths(root)
    found = choice.choose(data, place, place / "result", choices, train=None)
    assert found["chosen"] == "embeddings"
    reason = "there are fewer than 2 trusted images of each class"
    assert [row["budget"] for row in found["rows"]] == [f"not tried: {reason}"] * 3
    assert found["sentence"] == f"head on embeddings of efficientnet_lite0: {reason} to compare on"


def test_each_candidate_takes_the_settings_that_mean_something_to_it():
    given = {"image_size": 32, "backbone_views": 3, "finetune_epochs": 2, "max_iteration": 100}
    made = candidates.candidates("image_folder", **given, seed=5)
    assert [each.backbone for each in made.values()] == [*["efficientnet_lite0"] * 2, "none"]
    assert [each.backbone_views for each in made.values()] == [3, 3, 1]
    assert made["scratch"].image_size == 32
    assert [each.finetune_epochs for each in made.values()] == [4, 2, 4]
    assert {each.seed for each in made.values()} == {5}
    steps = {
        name: {share: each.max_iteration for share, each in candidates.budgets(name, own).items()}
        for name, own in made.items()
    }
    assert steps == {"embeddings": {1: 100}, "fine-tuning": {1: 100}, "scratch": {0.25: 25, 1: 100}}


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        (("trainer", "--finetune"), "--finetune: needs a --backbone by name, such as"),
        (("trainer", "--backbone_weights=a.h5"), "--backbone_weights: is for --backbone=keras"),
        (("trainer", "--image_size=-1"), "--image_size: must be 0 or more"),
        (("pipelines", "run", "--finetune"), "--finetune: needs a --backbone by name, such as"),
        (("pipelines", "run", "--backbone_weights=a.h5"), "--backbone_weights: is for --backbone="),
        (("pipelines", "compile", "--image_size=-1"), "--image_size: must be 0 or more"),
        (
            ("pipelines", "compile", "--pipeline=sweep"),
            "--backbone: of a sweep must be one for all runs; auto is for --pipeline=training",
        ),
    ],
)
def test_what_it_refuses(command, rule, tmp_path):
    refused = commands.run(*command, "--backbone=auto", cwd=tmp_path)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
    assert rule in refused.stderr
    assert not list(tmp_path.iterdir())


def test_several_workers_are_refused():
    with pytest.raises(InputError, match="--backbone: is for one worker; with 2, name one"):
        candidates.check_one_worker(2)


def outcome(right):
    return Outcome(np.array(right, bool), 1.0, 1)


@pytest.mark.parametrize(
    ("embeddings", "scratch", "chosen"),
    [
        ([1] * 50 + [0] * 50, [1] * 50 + [0] * 50, "embeddings"),
        ([1] * 50 + [0] * 50, [1] * 51 + [0] * 49, "embeddings"),  # ahead by one standard error
        ([1] * 50 + [0] * 50, [1] * 52 + [0] * 48, "scratch"),
        ([1] * 50 + [0] * 50, [0] * 48 + [1] * 52, "embeddings"),  # on other images: noise
        ([1] * 100, [0] * 100, "embeddings"),
    ],
)
def test_a_tie_goes_to_the_one_that_takes_less_time(embeddings, scratch, chosen):
    tried = {"embeddings": outcome(embeddings), "scratch": outcome(scratch)}
    assert choice.decide(tried) == chosen


@pytest.mark.parametrize(
    ("quarter", "whole", "expected"),
    [
        ([1] * 60 + [0] * 40, None, (0.25, "embeddings")),
        ([1] * 95 + [0] * 5, None, (0.25, "scratch")),
        ([0] * 20 + [1] * 80, [1] * 95 + [0] * 5, (1, "scratch")),
        ([0] * 20 + [1] * 80, [1] * 81 + [0] * 19, (1, "embeddings")),
    ],
)
def test_scratch_takes_all_its_steps_only_if_a_quarter_leaves_it_open(
    monkeypatch, tmp_path, quarter, whole, expected
):
    config, best = configuration.resolve("digits"), outcome([1] * 80 + [0] * 20)
    made = iter(map(outcome, (quarter, whole)))
    monkeypatch.setattr(choice, "outcome", lambda *_: next(made))
    found = choice.try_out({}, tmp_path, "scratch", config, None, best)
    chosen = choice.decide({"embeddings": best, "scratch": found})
    assert (found.share, chosen) == expected
    assert found.seconds == (1.0 if whole is None else 2.0)
