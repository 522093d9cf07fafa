"""Labels held out for the test: their issues, and the noise rate that they tell."""

import numpy as np
import pytest

from tests.image_files import write_images
from trainer.audit import test_images
from trainer.audit.evidence import Evidence
from trainer.audit.leave_one_out import OTHER_EXAMPLES
from trainer.audit.ranking import rank_labels
from trainer.audit.run_predictions import THE_RUN
from trainer.data import records
from trainer.settings.data import DataSettings

FLIPPED = 0.3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("many")
    write_images(root / "images", 160, size=(8, 8))
    records.prepare("image_folder", root / "data", DataSettings(data=str(root / "images")))
    return root / "data"


def evidence_of(folder, predicted_by):
    """A run that repeats the labels it was trained on, and is right of others: 30% are wrong."""
    given, tested = (records.read_labels(folder, split) for split in ("train", "test"))
    wrong = np.random.default_rng(0).random(len(tested)) < FLIPPED
    P, probabilities = 0.98 * np.eye(2)[given] + 0.01, 0.9 * np.eye(2) + 0.05
    true = np.where(wrong, 1 - tested, tested)
    return Evidence(P, [], predicted_by, tested=probabilities[true]), given, wrong


def test_the_noise_rate_of_a_run_that_memorised_its_labels(folder):
    evidence, given, wrong = evidence_of(folder, THE_RUN)
    rates, estimated_from, notes = test_images.noise_rates(folder, evidence, given)
    rate, low, high = rates.overall
    assert low < wrong.mean() < high
    assert rate == pytest.approx(wrong.mean(), abs=0.05)
    np.testing.assert_array_equal(estimated_from, records.read_labels(folder, "test"))
    assert notes[0].startswith("The noise rates come from the 64 labels held out for the test")
    table = test_images.with_issues(rank_labels(given, evidence.P), rate)
    assert table.is_label_issue.sum() == round(rate * len(given))


def test_predictions_that_are_out_of_sample_need_no_test_images(folder):
    evidence, given, _ = evidence_of(folder, OTHER_EXAMPLES)
    rates, estimated_from, notes = test_images.noise_rates(folder, evidence, given)
    assert rates.overall[0] < 0.05
    assert estimated_from is given
    assert notes == []


def test_few_test_images_do_not_tell(folder, monkeypatch):
    monkeypatch.setattr(test_images, "FEWEST", 65)
    evidence, given, _ = evidence_of(folder, THE_RUN)
    _, estimated_from, (note,) = test_images.noise_rates(folder, evidence, given)
    assert estimated_from is given
    assert "may be too low" in note


def test_rows_of_test_images(folder):
    evidence, given, wrong = evidence_of(folder, THE_RUN)
    train = rank_labels(given, evidence.P).assign(id=np.arange(len(given)))
    table = test_images.with_test_images(train, folder, evidence.tested)
    assert list(table.id) == list(range(len(given) + len(wrong)))
    tested = table[len(given) :]
    np.testing.assert_array_equal(tested.label_score < 0.5, wrong)
    assert not tested.corrected.any()
    assert tested.is_label_issue.sum() == pytest.approx(wrong.sum(), abs=4)
    assert (table[: len(given)].is_label_issue == train.is_label_issue).all()
