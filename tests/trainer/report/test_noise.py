import html
import re

import numpy as np
import pytest

from trainer import artifacts
from trainer.data.noise import noise_models
from trainer.report import noise as noise_page


@pytest.fixture
def page(tmp_path):
    """A function that makes the page of a matrix wanted and one realised."""

    def page(class_names, transition, realised, wrong_labels=0.25, name="a"):
        data, labels = tmp_path / name / "data", tmp_path / name / "labels"
        facts = {"class_names": class_names, "num_examples": {"train": 4000}}
        dataset = artifacts.finish(artifacts.start(data), artifacts.PREPARED_DATASET, **facts)
        directory = artifacts.start(labels)
        np.save(directory / "transition.npy", transition)
        np.save(directory / "realised.npy", realised)
        facts = {"noise": "pair", "noise_ratio": 0.3, "wrong_labels": wrong_labels}
        artifacts.finish(directory, artifacts.NOISY_LABELS, {"prepared_dataset": dataset}, **facts)
        noise_page.write(data, labels, tmp_path / name / "page.html")
        return (tmp_path / name / "page.html").read_text()

    return page


def texts(page):
    """The texts of the two charts, in order."""
    svgs = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    return [[html.unescape(t) for t in re.findall(r"<text[^>]*>([^<]*)<", s)] for s in svgs]


def test_names_and_shares(page):
    made = page(["cat", "dog"], np.array([[0.7, 0.3], [0, 1]]), np.array([[0.68, 0.32], [0, 1]]))
    assert "Noise pair, ratio 0.3: 25.0% of the 4,000 labels are wrong.</p>" in made
    wanted, realised = texts(made)
    axes = ["cat", "dog", "given label", "cat", "dog", "published label"]
    assert wanted == [*axes, "0.70", "0.30", "1.00"]
    assert realised == [*axes, "0.68", "0.32", "1.00"]


def test_where_the_truth_is_not_known(page):
    made = page(["cat", "dog"], np.eye(2), np.eye(2), wrong_labels=None)
    assert "how many of the 4,000 labels are wrong is not known." in made


def test_names_are_data(page):
    names = ["<script>1", "a & $x_1$", "猫", "an unusually long name"]
    made = page(names, np.eye(4), np.eye(4))
    assert "<script" not in made
    for said in texts(made):
        assert said[:4] == ["<script>1", "a & $x_1$", "猫", "an unusually lo…"]


@pytest.mark.parametrize(("classes", "named"), [(16, 16), (100, 100), (1000, 100)])
def test_many_classes_have_colours_and_no_numbers(page, classes, named):
    names = [f"class {c}" for c in range(classes)]
    uniform = np.full((classes, classes), 1 / classes)
    for said in texts(page(names, uniform, uniform)):
        assert sum(text.startswith("class") for text in said) == 2 * named
        assert {t for t in said if t[0].isdigit()} == {"0.00", "0.01", "0.10", "0.30", "1.00"}


def test_the_same_page_twice_and_nothing_from_outside(page):
    matrix = noise_models.uniform(np.arange(20), 20, 0.5, np.random.default_rng(0))[1]
    names = [str(c) for c in range(20)]
    first, second = (page(names, matrix, matrix, name=name) for name in "ab")
    assert first == second
    addresses = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"\w+://[^\"\s]*", first)) == addresses
    assert set(re.findall(r"(?:href|src)=\"(.{5})", first)) == {"data:"}
    ids = re.findall(r" id=\"(image\w+|m\w{10})\"", first)
    assert len(ids) == len(set(ids))


def test_the_page_of_an_artifact(digits, noisy_labels, tmp_path):
    noise_page.write(digits, noisy_labels, tmp_path / "page.html")
    wrong = artifacts.read(noisy_labels, artifacts.NOISY_LABELS)["wrong_labels"]
    said = f"Noise uniform, ratio 0.9: {wrong:.1%} of the 1,437 labels are wrong."
    assert said in (tmp_path / "page.html").read_text()
