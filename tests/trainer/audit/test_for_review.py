"""What a reviewer sees beside an image, and the files for other tools."""

import csv
import json
import re
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from tests.conftest import HOSTILE
from trainer.audit import exports, for_review, label_issues, noise_estimation

# Names of the programs' own values, as seen in exports of Label Studio 1.23.2 and in samples of
# FiftyOne 1.22.1.
OWN_COLUMNS_OF_LABEL_STUDIO = {
    *("id", "annotation_id", "annotator", "created_at", "updated_at", "lead_time", "label")
}
OWN_FIELDS_OF_FIFTYONE = {"id", "tags", "metadata", "created_at", "last_modified_at"}
# In Label Studio a choice "$5" is missing, and "up to $image" has the address of the image in it.
VARIABLE_OF_LABEL_STUDIO = re.compile(r"\$[\w[\].{}]", re.ASCII)


def test_top_classes_and_nearest_trusted_by_hand(tmp_path):
    features = np.array([[1, 0], [0, 1], [0.9, 0.1], [0.1, 0.9], [1, 1], [-1, 0]])
    table = pd.DataFrame({"id": [1, 0], "given_label": [0, 0], "suggested_label": [1, 2]})
    P = np.array([[0.2, 0.7, 0.1], [0.6, 0.1, 0.3]])
    Q, _ = noise_estimation.true_label_posterior(P, np.array([0, 0]))
    trusted = np.array([2, 3, 4, 5]), np.array([0, 0, 0, 1])
    for_review.write(tmp_path, for_review.gather(P, table, trusted, features))
    seen = for_review.read(tmp_path, np.array([0, 1]))
    assert seen["top"].tolist() == np.argsort(-Q[::-1], axis=1).tolist()
    np.testing.assert_allclose(seen["p_top"], -np.sort(-Q[::-1], axis=1), rtol=1e-6)
    assert seen["nearest"].tolist() == [
        [[2, 4, 3], [-1, -1, -1]],  # no trusted image of class 2
        [[3, 4, 2], [5, -1, -1]],
    ]
    unknown = for_review.read(tmp_path, np.array([7]))
    assert (unknown["top"] == -1).all()
    assert (unknown["nearest"] == -1).all()


@pytest.fixture
def issues(hostile_run):
    return pd.read_parquet(hostile_run / "label_audit" / label_issues.TABLE)


def test_the_run_has_both(hostile_run, issues):
    seen = for_review.read(hostile_run / "label_audit", issues.id.to_numpy())
    np.testing.assert_allclose(seen["p_top"].sum(axis=1), 1, rtol=1e-5)  # of two classes
    assert (seen["nearest"][:, :, :2] >= 0).all()
    assert not np.isin(seen["nearest"], issues.id).any()


def test_tasks_of_label_studio(hostile_run, issues):
    audit = hostile_run / "label_audit"
    tasks = json.loads((audit / "label_studio.json").read_text())
    interface = ElementTree.parse(audit / "label_studio.xml").getroot()
    assert {c.get("value") for c in interface.iter("Choice")} == set(HOSTILE)
    names = {element.get("name") for element in interface}
    assert len(tasks) == len(issues)
    for task, row in zip(tasks, issues.itertuples()):
        (prediction,) = task["predictions"]
        (result,) = prediction["result"]
        assert result["value"] == {"choices": [row.suggested_label]}
        assert {result["from_name"], result["to_name"]} <= names
        assert task["data"]["given_label"] == row.given_label
        assert task["data"]["example_id"] == row.id
        assert not OWN_COLUMNS_OF_LABEL_STUDIO & set(task["data"])
        assert "/" + parse_qs(urlsplit(task["data"]["image"]).query)["d"][0] == row.path


def test_rows_for_fiftyone(hostile_run, issues):
    with open(hostile_run / "label_audit" / "fiftyone.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["filepath"] for row in rows] == issues.path.tolist()
    assert [row["suggested_label"] for row in rows] == issues.suggested_label.tolist()
    assert [int(row["example_id"]) for row in rows] == issues.id.tolist()
    assert not OWN_FIELDS_OF_FIFTYONE & set(rows[0])


def test_no_class_is_a_variable_of_label_studio():
    names = ["plain", "$5", "up to $image", 'a "b" & $given_label', "$[0]", "${x}", "a $ b"]
    choices = list(ElementTree.fromstring(exports.interface(names)).iter("Choice"))
    assert [choice.get("alias", choice.get("value")) for choice in choices] == names
    shown = [choice.get("value") for choice in choices]
    assert [value.replace("\N{ZERO WIDTH SPACE}", "") for value in shown] == names
    assert not [value for value in shown if VARIABLE_OF_LABEL_STUDIO.search(value)]


def test_buckets_and_images_that_are_no_files(tmp_path, issues):
    assert exports.address("gs://bucket/a b.jpg") == "gs://bucket/a b.jpg"
    exports.write(tmp_path, issues.assign(path=""), HOSTILE)
    assert list(tmp_path.iterdir()) == []
