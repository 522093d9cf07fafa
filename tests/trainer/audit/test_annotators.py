"""The quality of annotators, and consensus labels."""

import numpy as np
import pandas as pd
import pytest

from tests.image_files import write_images
from trainer.audit import annotators
from trainer.data import records
from trainer.settings.data import DataSettings

NAMES = ["tabby cat", "ölfass"]


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Images that two good annotators and one who always says the same have labelled."""
    root = tmp_path_factory.mktemp("judged")
    files = sorted(write_images(root / "images", 20).rglob("*.jpg"))
    rows = []
    for number, file in enumerate(files):
        true = file.parent.name
        wrong = NAMES[1 - NAMES.index(true)]
        said = {"=good": true, "<b>fair": wrong if number % 10 == 0 else true, "lazy": NAMES[0]}
        split = "test" if number % 5 == 4 else "train"
        rows += [(file, label, who, split) for who, label in said.items()]
    table = pd.DataFrame(rows, columns=["path", "label", "who", "split"])
    table.to_csv(root / "table.csv", index=False)
    settings = DataSettings(data=str(root / "table.csv"), annotator_column="who")
    records.prepare("csv", root / "data", settings)
    return root


def tables(judged, directory):
    path = judged / "data"
    paths, given = records.read_paths(path, "train"), records.read_labels(path, "train")
    true = np.array([NAMES.index(file.split("/")[-2]) for file in paths])
    P = (0.8 * np.eye(2) + 0.1)[true]
    return annotators.write(directory, path, np.arange(len(paths)), given, P, NAMES), true


def test_who_is_reliable_and_what_they_agree_on(judged, tmp_path):
    notes, true = tables(judged, tmp_path)
    assert notes == []
    people = pd.read_csv(tmp_path / annotators.ANNOTATORS).set_index("annotator")
    assert list(people.index) == ["lazy", "<b>fair", "=good"]
    assert people.annotator_quality.is_monotonic_increasing
    assert (people.num_examples_labeled == len(true)).all()
    assert people.worst_class["lazy"] == "tabby cat"
    images = pd.read_csv(tmp_path / annotators.CONSENSUS).set_index("id")
    assert list(images) == ["path", "given_label", *annotators.OF_IMAGES]
    consensus = images.consensus_label.sort_index()
    np.testing.assert_array_equal(consensus, np.array(NAMES)[true])
    assert images.consensus_quality_score.is_monotonic_increasing
    assert (images.num_annotations == 3).all()


def test_above_the_limit_it_is_said(judged, tmp_path, monkeypatch):
    monkeypatch.setattr(annotators, "MOST_CELLS", 10)
    assert tables(judged, tmp_path)[0] == [annotators.TOO_MANY]
    assert not list(tmp_path.iterdir())


def test_a_single_annotator_has_no_tables(tmp_path):
    write_images(tmp_path / "images", 6)
    records.prepare("image_folder", tmp_path / "a", DataSettings(data=str(tmp_path / "images")))
    assert records.read_votes(tmp_path / "a") is None
    labels = records.read_labels(tmp_path / "a", "train")
    ids, P = np.arange(len(labels)), np.full((len(labels), 2), 0.5)
    assert annotators.write(tmp_path, tmp_path / "a", ids, labels, P, NAMES) == []
    assert not (tmp_path / annotators.ANNOTATORS).exists()
