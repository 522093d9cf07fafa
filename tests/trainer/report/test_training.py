"""What the report of a training says."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from trainer import artifacts
from trainer.audit import label_issues
from trainer.errors import InputError
from trainer.evaluation import evaluate
from trainer.report import gallery, training
from trainer.serving import export


def parts_of(root):
    names = ("prepared_dataset", "noisy_labels", "checkpoints", "metrics", "label_audit")
    return [root / name for name in (*names, "exported_model")]


def test_what_it_says(hostile_run):
    made = (hostile_run / "report.html").read_text()
    metrics = json.loads((hostile_run / "metrics" / "metrics.json").read_text())
    audit = artifacts.read(hostile_run / "label_audit", artifacts.LABEL_AUDIT)
    assert f"supervised is right on {metrics['test/top1']:.1%} of 4 test images" in made
    assert f"about {audit['audit/noise_rate_estimated']:.1%} look wrong" in made
    captions = re.findall("<figcaption>(.*)</figcaption>", made)
    assert captions == [
        *("As the model believes", "Which classes are taken for which"),
        *("Is it as sure as it is right?", "Accuracy", "Loss", "Suspicion"),
    ]
    for row in ("max_iteration", "network_name", "tensorflow"):
        assert f'<th scope="row">{row}</th>' in made
    assert audit["id"] in made


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
    assert captions[:2] == ["In the data", "As the model believes"]
    assert captions[-1] == "Learned weights"
    assert made.count("labels that are wrong") >= 2
    assert "after calibration on 20 trusted images" in made
    assert "although 81" in made


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
    address, content = gallery.thumbnail(file.getvalue()).split(",")
    assert address == f"data:image/{kind};base64"
    made = Image.open(io.BytesIO(base64.b64decode(content)))
    assert made.size == (size if kind == "png" else (shown, round(shown * size[1] / size[0])))
