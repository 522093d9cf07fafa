"""Content of the report of a training."""

import base64
import html
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

from trainer import artifacts
from trainer.audit import kept_labels, label_issues
from trainer.audit.evidence import coefficient_captions
from trainer.errors import InputError
from trainer.evaluation import evaluate
from trainer.methods import METHODS
from trainer.report import budget, gallery, page, training, training_charts
from trainer.report.published import published_result
from trainer.serving import export


def parts_of(root):
    names = ("prepared_dataset", "noisy_labels", "checkpoints", "metrics", "label_audit")
    return [root / name for name in (*names, "exported_model")]


def test_what_it_says(hostile_run):
    made = (hostile_run / "report.html").read_text()
    metrics = json.loads((hostile_run / "metrics" / "metrics.json").read_text())
    audit = artifacts.read(hostile_run / "label_audit", artifacts.LABEL_AUDIT)
    assert f"Test accuracy of supervised: {metrics['test/top1']:.1%} on 4 images." in made
    rate = audit["audit/noise_rate_estimated"]
    assert f"Estimated noise rate of the training labels: {rate:.1%} (between" in made
    captions = re.findall("<figcaption>(.*)</figcaption>", made)
    assert captions == [
        "Labels right after N looks",
        *("Estimated transition matrix", "Confusion matrix", "Reliability diagram"),
        *("Accuracy", "Loss", "Label scores"),
    ]
    rows = dict(re.findall(r'<th scope="row">(.*?)</th><td>(.*?)</td>', made))
    assert rows["max_iteration"] == "2"
    assert rows["network_name"] == "convnet"
    assert rows["tensorflow"] == tf.__version__
    assert rows["label_audit"] == audit["id"]


def test_the_page_says_what_was_run(hostile_run):
    """And the counts agree with each other."""
    made = html.unescape((hostile_run / "report.html").read_text())
    assert '<h1>im,"ages<img src=x></h1>' in made
    assert "supervised, convnet, 2 steps of 4 images, seed 0." in made
    assert "20 training images: 16 with given labels, all audited, and 4 trusted" in made
    assert "All 16 audited labels" in made
    assert made.index("The noise rates come from predictions of a run") < made.index('id="how"')
    rows = dict(re.findall(r'<th scope="row">(.*?)</th><td>(.*?)</td>', made))
    assert rows["batch_size"] == "4"
    unused = {
        "decay_steps",
        "max_epoch",
        "backbone_views",
        "finetune_epochs",
        "audit_fold",
        "image_cache_gb",
    }
    assert not unused & set(rows)


def test_the_title_is_no_split():
    dataset = {"num_examples": {"train": 2}, "source": "csv"}

    def of(*paths):
        return training.title(dataset, pd.DataFrame({"id": range(len(paths)), "path": paths}))

    assert of("/a/photos/Train/cat/1.jpg", "/a/photos/Train/dog/1.jpg") == "photos"
    assert of("/a/photos/cat/1.jpg", "/a/photos/dog/1.jpg", "/b/test/1.jpg") == "photos"
    assert of("/a/train-2/cat/1.jpg", "/a/train-2/dog/1.jpg") == "train-2"
    assert of("/train/cat/1.jpg", "/train/dog/1.jpg") == of("train/1.jpg", "train/2.jpg") == "csv"
    assert of("", "") == "csv"


def test_parts_of_the_loss_that_are_there(tmp_path):
    row = {"train/loss": 2.0, "train/loss_pseudo_label": 0.5, "train/loss_rotation": 0.0}
    (tmp_path / "history.json").write_text(json.dumps([row | {"step": 1}, row | {"step": 2}]))
    chart = training_charts.learning_curves(tmp_path)["Loss"]
    names = re.findall("<text[^>]*>([^<]*)</text>", chart)
    assert {"total", "pseudo label"} < set(names)
    assert not any("rotation" in name for name in names)


def test_pictures_of_trusted_images_are_bounded(digits, monkeypatch):
    """However many are trusted after many reviews; those beside the first images come first."""
    near = np.array([[[30, 4, -1], [7, 4, 30]], [[9, -1, -1], [11, 12, 13]]])
    everything = gallery.trusted_pictures(digits, near)
    assert list(everything) == [30, 4, 7, 9, 11, 12, 13]
    room = sum(len(everything[id]) for id in (30, 4, 7))
    monkeypatch.setattr(gallery, "TRUSTED_BYTES", room)
    found = gallery.trusted_pictures(digits, near)
    assert list(found) == [30, 4, 7]


def test_one_is_no_plural():
    count = page.TEMPLATES.from_string('{{ n | counted("image") }}').render
    assert [count(n=n) for n in (0, 1, 2000)] == ["0 images", "1 image", "2,000 images"]


def test_a_small_fraction_is_not_nothing():
    shares = (0, 0.0004, 0.0005, 0.25, None)
    assert list(map(page.percent, shares)) == ["0.0%", "<0.1%", "0.1%", "25.0%", "unknown"]


def test_folders_that_begin_alike():
    assert gallery.common_folder(["/a/photos1/x.jpg", "/a/photos2/y.jpg"]) == "/a/"
    assert gallery.common_folder(["/a/b/x.jpg", "/a/b/c/y.jpg"]) == "/a/b/"
    assert gallery.common_folder(["gs://b/p/x.jpg", "gs://b/p/y.jpg"]) == "gs://b/p/"
    assert gallery.common_folder(["", ""]) == gallery.common_folder([]) == ""


def test_labels_right_after_looks():
    wrong = np.array([0.1, 0.5, 0.0, 0.2])
    found = budget.right_after_looks(wrong, np.argsort(-wrong))
    np.testing.assert_allclose(found, [0.8, 0.925, 0.975, 1, 1])
    issues = pd.DataFrame({"label_score": [0.1, 0.5], "p_suggested": [0.8, 0.3]})
    issues["corrected"] = [1, 0]
    np.testing.assert_allclose(gallery.expected_gain(issues), [0.2, 0.5])
    rates = {f"audit/noise_rate_{end}": r for end, r in zip(kept_labels.ENDS, (0.35, 0.2, 0.7))}
    made = budget.budget(issues, np.full(2, True), rates, np.array([True, False]))
    assert made["given_right"] == 0.3
    assert made["rows"][0] == {
        **{"looks": "0", "expected": "65.0%", "low": "30.0%", "high": "80.0%", "true": "50.0%"}
    }
    assert made["range_from"] == "the range of the estimated noise rate"


def test_trusted_images_tell_how_many_labels_are_right_at_first():
    issues = pd.DataFrame({"label_score": [0.9, 0.8, 0.6], "p_suggested": [0.1, 0.2, 0.4]})
    issues["corrected"] = 0
    right = {f"audit/labels_right_{end}": r for end, r in zip(kept_labels.ENDS, (0.7, 0.5, 0.95))}
    made = budget.budget(issues, np.array([True, True, False]), right)
    first = {name: float(made["rows"][0][name].strip("%")) for name in ("expected", "low", "high")}
    expected = {"expected": 2.0, "low": 1.6, "high": 2.5}  # labels: two of training, one of test
    assert first == {name: pytest.approx(100 * n / 3, abs=0.06) for name, n in expected.items()}
    assert made["range_from"] == "trusted images"


def test_where_the_truth_is_known(digits, noisy_labels, probe_split, trained, tmp_path):
    root = trained("l2r", max_iteration=20, eval_freq=10, calibration_per_class=2)
    evaluate.evaluate(digits, root / "checkpoints", root / "metrics")
    data = digits, noisy_labels, probe_split
    label_issues.audit(*data, [root / "checkpoints"], root / "label_audit")
    export.export(digits, probe_split, root / "checkpoints", root / "exported_model")
    paths = digits, noisy_labels, *parts_of(root)[2:]
    training.write(*paths, tmp_path / "report.html")
    made = (tmp_path / "report.html").read_text()
    captions = re.findall("<figcaption>(.*)</figcaption>", made)
    assert captions[1:3] == ["True transition matrix", "Estimated transition matrix"]
    weight, _ = coefficient_captions(METHODS["l2r"].coefficients)["weight"]
    assert captions[-2:] == ["Label scores", weight]
    assert made.count("wrong labels") >= 2
    assert "after calibration on 20 trusted images" in made
    assert "Noise rate of the training labels: 81" in made


def test_artifacts_of_another_dataset(hostile_run, digits, noisy_labels, tmp_path):
    paths = parts_of(hostile_run)
    with pytest.raises(InputError, match="must be made from the prepared_dataset"):
        training.write(digits, noisy_labels, *paths[2:], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(("size", "kind"), [((20, 10), "png"), ((900, 600), "jpeg")])
def test_thumbnails(size, kind):
    pixels = np.random.default_rng(0).integers(256, size=(*size[::-1], 3)).astype(np.uint8)
    file, shown = io.BytesIO(), gallery.SIDE
    Image.fromarray(pixels).save(file, "PNG")
    picture = gallery.picture(file.getvalue(), shown)
    address, content = gallery.data_url(picture).split(",")
    assert address == f"data:image/{kind};base64"
    made = Image.open(io.BytesIO(base64.b64decode(content)))
    assert made.size == (size if kind == "png" else (shown, round(shown * size[1] / size[0])))


def test_the_published_result_of_the_same_experiment():
    config = {"network_name": "wrn28-10", "max_iteration": 200_000, "batch_size": 100}
    run = {"dataset": "cifar100", "noise": "uniform", "noise_ratio": 0.8, "method": "ieg"}
    said = published_result(run | {"config": config}, {"test/top1": 0.74})
    assert said.endswith("(Zhang et al., CVPR 2020): 75.5%; this run: 74.0%.")
    short = run | {"config": config | {"max_iteration": 2000}}
    said = published_result(short, {"test/top1": 0.4})
    assert said.endswith("75.5%; this run: 40.0% with another budget (2,000 steps, not 200,000).")
    for other in ({"noise_ratio": 0.6}, {"method": "robust"}, {"dataset": "digits"}):
        assert published_result(run | other | {"config": config}, {"test/top1": 0.4}) == ""
    other = config | {"network_name": "convnet"}
    assert published_result(run | {"config": other}, {"test/top1": 0.4}) == ""
