"""Reviews: wrong files, what training sees after one, and two rounds from start to end."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.conftest import HOSTILE
from trainer import artifacts, local_run, outputs
from trainer.audit import decisions, review, rounds
from trainer.data import input_pipeline, probe, records
from trainer.data.noise import injection
from trainer.errors import InputError
from trainer.settings.data import DataSettings
from trainer.training import configuration

HEADER = ",".join(decisions.COLUMNS)


def saved(path, rows, run, dataset):
    """A file of (id, decision, label), as the page saves it."""
    table = pd.DataFrame(rows, columns=["id", "decision", "label"]).assign(run=run, dataset=dataset)
    decisions.write(table.reindex(columns=decisions.COLUMNS, fill_value=""), path)
    return path


@pytest.fixture
def hostile(hostile_run):
    """The run, its audited ids, and values for messages and files."""
    issues = pd.read_parquet(hostile_run / "label_audit" / "label_issues.parquet")
    names = {"run": issues.run[0], "dataset": issues.dataset[0]}
    return hostile_run, issues.id.to_numpy(), names


ROW = "{a},,,keep,,{run},{dataset}\n"
WRONG = [
    ("", "must be the CSV file that a report saves .No columns"),
    ("\x00\xff\xfe", "must be the CSV file that a report saves"),
    (HEADER + "\n", "must have a decision: keep, relabel or drop .*with 0 unsure and no other"),
    (HEADER + "\n{a},,,unsure,,{run},{dataset}\n", "must have a decision: .*with 1 unsure"),
    ("id,decision,run\n{a},keep,{run}\n", "must have the columns .*; label, dataset are missing"),
    (HEADER + "\n{a},,,yes,,{run},{dataset}\n", "keep, relabel, drop, unsure in .*yes for id {a} "),
    (HEADER + "\n{a},,,,yes,{run},{dataset}\n", "must have keep, relabel, drop, unsure in column"),
    (HEADER + "\nx,,,keep,,{run},{dataset}\n", "must have whole numbers in column id.*x in"),
    (HEADER + "\n1.5,,,keep,,{run},{dataset}\n", "must have whole numbers in column id.*1.5 in"),
    (HEADER + "\n99999,,,keep,,{run},{dataset}\n", "ids of the 16 labels .*audited.*id 99999"),
    (HEADER + "\n{a},,,relabel,cat,{run},{dataset}\n", "one of the classes .*cat for id {a}"),
    (HEADER + "\n{a},,,relabel,,{run},{dataset}\n", "one of the classes .*for id {a}"),
    (HEADER + "\n" + ROW + "{a},,,drop,,{run},{dataset}\n", "one decision for each id.*id {a}"),
    (HEADER + "\n{a},,,keep,,a123,{dataset}\n", "is run {run}.*decisions on run a123"),
    (HEADER + "\n" + ROW + "{b},,,keep,,A123,{dataset}\n", "is run {run}.*on run A123, {run}"),
    (HEADER + "\n{a},,,keep,,{run},b123\n", "must be on dataset {dataset:.12}.*on dataset b123"),
]


@pytest.mark.parametrize(("content", "said"), WRONG)
def test_wrong_files(content, said, hostile, tmp_path):
    root, ids, names = hostile
    values = {"a": ids[0], "b": ids[1], **names}
    file, before = tmp_path / "decisions.csv", sorted(root.rglob("*"))
    file.write_bytes(content.format(**values).encode("latin-1"))
    with pytest.raises(InputError, match="^--decisions: .*" + said.format(**values)):
        local_run.review(root, file)
    assert sorted(root.rglob("*")) == before


def test_a_class_without_an_image(hostile, tmp_path):
    root, _, names = hostile
    issues = pd.read_parquet(root / "label_audit" / "label_issues.parquet")
    of_class = issues.id[issues.given_label == HOSTILE[0]]
    file = saved(tmp_path / "d.csv", [(id, "drop", "") for id in of_class], **names)
    with pytest.raises(InputError, match=r"must leave an image to each class; .*none left of "):
        local_run.review(root, file)
    assert not (root / "rounds").exists()


def test_no_training_label_left_to_audit(hostile, tmp_path):
    root, _, names = hostile
    audited = pd.read_parquet(root / "label_audit" / "label_issues.parquet")
    rows = [(id, "keep", "") for id in audited.id[audited.split == "train"]]
    file = saved(tmp_path / "d.csv", rows, **names)
    said = f"must leave a training label .*decisions on all {len(rows)} training labels"
    with pytest.raises(InputError, match=said):
        local_run.review(root, file)
    rows[0] = (rows[0][0], "unsure", "")
    found = rounds.start(root, decisions.read(saved(tmp_path / "d.csv", rows, **names)))
    assert len(found[1]) == len(rows)
    assert not (root / "rounds").exists()


def test_the_run_is_found_by_its_decisions(hostile, tmp_path, monkeypatch):
    root, ids, names = hostile
    monkeypatch.chdir(tmp_path)
    rows = decisions.read(saved(tmp_path / "d.csv", [(ids[0], "keep", "")], **names))
    with pytest.raises(InputError, match=r"or below runs: there is none. .*on run a"):
        rounds.find(rows, None, "--output_dir")
    (tmp_path / "runs").mkdir()
    for name in ("one", "two"):
        place = tmp_path / "runs" / name
        place.mkdir()
        (place / "run.json").write_text("{}")
        if name == "two":
            for kind in (artifacts.LABEL_AUDIT, artifacts.PREPARED_DATASET):
                (place / kind).symlink_to(root / kind)
    assert str(rounds.find(rows, None, "--output_dir")) == "runs/two"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_as_spreadsheets_save_them(delimiter, tmp_path):
    """Words of decisions may be classes, and label_issues.csv is a table of decisions."""
    rows = [
        *((7, "keep", ""), (3, "relabel", "keep"), (4, "relabel", ""), (5, "drop", "x")),
        *((5, "drop", ""), (6, "unsure", ""), (8, "", ""), (9, "relabel", "größe")),
    ]
    table = pd.DataFrame(rows, columns=["id", "decision", "label"])
    table = table.assign(run="a1", dataset="b1", label_score=0.5)
    table.to_csv(tmp_path / "d.csv", index=False, sep=delimiter, encoding="utf-8-sig")
    found = decisions.read(tmp_path / "d.csv")
    assert dict(zip(found.id, found.label)) == {7: "", 3: "keep", 4: "", 5: "", 6: "", 9: "größe"}
    names, given = ["keep", "", "größe", "x"], np.array([3] * 10, np.int32)
    decisions.check(found, {"class_names": names}, np.arange(10), given)
    labels, dropped = decisions.applied(found, names, given)
    assert labels.tolist() == [3, 3, 3, 0, 1, 3, 3, 3, 3, 2]
    assert dropped.tolist() == [5]


def test_the_newest_decision_counts():
    def table(*rows):
        found = pd.DataFrame(rows, columns=["id", "decision", "label"])
        return found.reindex(columns=decisions.COLUMNS, fill_value="")

    first = table((1, "keep", ""), (2, "relabel", "a"), (3, "drop", ""))
    second = table((2, "relabel", "b"), (3, "drop", ""), (0, "unsure", ""))
    both, replaced = decisions.merged(first, second)
    assert both.id.tolist() == [0, 1, 2, 3]
    assert both.label.tolist() == ["", "", "b", ""]
    assert rounds.replaced_text(both, replaced) == (
        "note: new decisions replace earlier ones on 1 label: id 2 relabel a → relabel b"
    )


@pytest.fixture
def reviewed(digits, noisy_labels, probe_split, tmp_path):
    """The digits after a review that the true labels contradict, and its (id, label) and drops."""
    _, ids, _ = probe.read_split(probe_split, records.read_manifest(digits))
    clean, wrong = records.read_clean_labels(digits), {}
    rows = [(id, "drop", "") for id in ids[:5]] + [(id, "unsure", "") for id in ids[5:8]]
    for id in ids[8:28]:
        wrong[id] = (clean[id] + 1) % 10 if id % 2 else 3
        rows.append((id, "relabel", str(wrong[id])))
    file = saved(tmp_path / "d.csv", rows, "a1", "b1")
    made = tmp_path / "labels", tmp_path / "split"
    written = review.apply(digits, noisy_labels, probe_split, file, *made)
    counts = [written[f"num_{name}"] for name in decisions.DECISIONS]
    assert counts == [0, 20, 5, 3]
    return made, wrong, ids[:5]


def test_reviewed_labels_join_the_trusted_ones_class_by_class(digits, reviewed):
    made, wrong, dropped = reviewed
    data = input_pipeline.load_training_data(digits, *made, configuration.resolve("digits"))
    assert not set(data.ids) & {*dropped}
    assert len(data.ids) == len(set(data.ids)) == 1437 - 100 - 5
    assert data.labels[-20:].tolist() == [wrong[id] for id in sorted(wrong)]
    assert data.probe_labels[100:].tolist() == [wrong[id] for id in sorted(wrong)]
    drawn = data.probe_labels[data.probe_order]
    assert (drawn.reshape(-1, 10) == np.arange(10)).all()
    assert set(data.probe_order) == set(range(120))


def test_methods_without_a_probe_train_on_reviewed_labels(digits, reviewed):
    made, wrong, dropped = reviewed
    settings = configuration.resolve("digits", method="supervised")
    data = input_pipeline.load_training_data(digits, *made, settings, uses_probe=False)
    assert data.ids[-20:].tolist() == sorted(wrong)
    assert data.labels[-20:].tolist() == [wrong[id] for id in sorted(wrong)]
    assert not set(data.ids) & {*dropped}
    assert len(data.probe_labels) == 100
    assert data.probe_order is None


def test_trusted_labels_of_some_classes_only_are_trained_on(digits, noisy_labels, tmp_path):
    """A probe of some classes alone would say that there are no others."""
    probe.split(digits, tmp_path / "none", per_class=0, seed=0)
    file = saved(tmp_path / "d.csv", [(5, "relabel", "3"), (6, "relabel", "4")], "a1", "b1")
    made = tmp_path / "labels", tmp_path / "split"
    review.apply(digits, noisy_labels, tmp_path / "none", file, *made)
    data = input_pipeline.load_training_data(digits, *made, configuration.resolve("digits"))
    assert len(data.probe_labels) == 0
    assert data.labels[-2:].tolist() == [3, 4]


def decided_by_truth(place, count, path):
    """Decisions on the first labels of a run's list, by the true labels."""
    issues = rounds.audited_table(place).head(count)
    names = rounds.read(place, artifacts.LABEL_AUDIT)["class_names"]
    dataset_path = rounds.artifact_directory(place, artifacts.PREPARED_DATASET)
    true = np.array(names)[records.read_clean_labels(dataset_path)[issues.id]]
    decision = np.where(true == issues.given_label, "keep", "relabel")
    issues.assign(decision=decision, label=true)[decisions.COLUMNS].to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run on digits, tested, audited and exported."""
    root = tmp_path_factory.mktemp("reviewed") / "run"
    settings = configuration.resolve(
        "digits", method="robust", max_iteration=40, batch_size=64, calibration_per_class=2
    )
    files = DataSettings()
    local_run.train(root, "digits", "uniform", 0.6, files, settings, 0, lambda part: None)
    local_run.evaluate(root, files)
    local_run.audit(root, 0)
    local_run.export(root)
    return root


def as_a_process(root, file):
    """A review that leaves no lock behind."""
    said = local_run.review(root, file)
    while outputs.held:
        outputs.held.pop().close()
    return said


def test_two_rounds(run, tmp_path, capsys):
    first = decided_by_truth(run, 150, tmp_path / "1.csv")
    said = as_a_process(run, first)
    assert "round 1: " in said
    assert (run / "rounds" / "1" / "report.html").is_file()
    shown = [file.stat().st_mtime_ns for file in sorted((run / "rounds" / "1").glob("*.*"))]

    issues = rounds.audited_table(run / "rounds" / "1")
    decided = decisions.read(first)
    assert not set(issues.id) & set(decided.id)
    second = decided_by_truth(run / "rounds" / "1", 150, tmp_path / "2.csv")
    names = {"run": decided.run[0], "dataset": decided.dataset[0]}
    extra = saved(tmp_path / "extra.csv", [(decided.id[0], "drop", "")], **names)
    with open(second, "a") as file:
        file.writelines(extra.read_text().splitlines(keepends=True)[1:])
    said = as_a_process(run, second)
    assert f"replace earlier ones on 1 label: id {decided.id[0]} relabel" in (
        capsys.readouterr().out
    )
    assert [f.stat().st_mtime_ns for f in sorted((run / "rounds" / "1").glob("*.*"))] == shown

    last = run / "rounds" / "2"
    content = json.loads((last / rounds.COMPARISON).read_text())
    right = [each["true/labels_right"] for each in content["rounds"]]
    assert right[0] + 0.1 < right[1]
    assert right[1] + 0.1 < right[2]
    corrected = [each["true/labels_right_corrected"] for each in content["rounds"]]
    assert corrected[0] < corrected[2]
    estimated = [each["estimated/labels_right"] for each in content["rounds"]]
    np.testing.assert_allclose(estimated, right, atol=0.1)
    for each, share in zip(content["rounds"], right):
        low, high = (each[f"estimated/labels_right_{end}"] for end in ("low", "high"))
        assert low < each["estimated/labels_right"] < high
        assert low - 0.02 < share < high + 0.02
    assert [each["decisions"] for each in content["rounds"]] == [0, 150, 300]
    assert content["rounds"][2]["changes"]["drop"] == 1
    assert content["rounds"][2]["trusted_images"] == 20
    assert "before review round 1 round 2" in " ".join(said.split())
    assert "round 2" in (last / rounds.PAGE).read_text()

    labels, _ = injection.read_noisy_labels(
        last / "noisy_labels", records.read_manifest(run / "prepared_dataset")
    )
    kept = decisions.read(last / "decisions.csv")
    kept = kept[kept.decision == "relabel"]
    assert labels[kept.id].astype(str).tolist() == kept.label.tolist()
    again = as_a_process(run, second)
    assert again.startswith(f"{last} has these decisions")
    assert sorted(place.name for place in (run / "rounds").iterdir()) == ["1", "2"]
