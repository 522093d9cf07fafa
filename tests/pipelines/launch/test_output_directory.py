"""Output directories that are in use, belong to another run, or were edited."""

import json
import subprocess
import sys

import pytest

from pipelines.launch.output_directory import OutputDirectory, default
from trainer import outputs
from trainer.outputs import Taken

COMMAND = {"pipeline": "training", "method": "ieg", "settings": {"max_iteration": 5}}
OTHER = COMMAND | {"settings": {"max_iteration": 6}}
HOLD = """
import sys
from pathlib import Path
from trainer import outputs
outputs.hold(Path(sys.argv[1]), "--output_dir")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """A function that opens an output directory as a new process would."""
    monkeypatch.chdir(tmp_path)

    def open_directory(root=tmp_path / "out", command=COMMAND, version="1", **options):
        release()
        return OutputDirectory(root, command, version, {}, **options)

    yield open_directory
    release()


def release():
    while outputs.held:
        outputs.held.pop().close()


def finished(directory, **contents):
    """Ends a run with results of these contents, by name without ending."""
    results = {}
    for name, content in contents.items():
        results[f"{name}.csv"] = directory.tasks / f"{name}-made"
        results[f"{name}.csv"].write_text(content)
    directory.finish(results, {})
    return directory


def test_what_was_cut_off_is_resumed_in_the_same_place(directory):
    first = directory()
    again = directory()
    assert (first.state, again.state) == ("new", "resumed")
    assert again.tasks == first.tasks


@pytest.mark.parametrize(
    ("changed", "state"),
    [({"version": "2"}, "changed"), ({"resume": False}, "changed")],
)
def test_nothing_of_other_code_or_data_is_resumed(directory, changed, state):
    first, again = directory(), directory(**changed)
    assert again.state == state
    assert again.tasks != first.tasks
    assert first.tasks.is_dir()


def test_what_has_finished_is_replaced_only_by_what_has_finished(directory, tmp_path):
    first = finished(directory(), labels="a")
    again = directory()
    assert again.state == "repeated"
    assert again.tasks != first.tasks
    assert (tmp_path / "out" / "labels.csv").read_text() == "a"
    finished(again, labels="b")
    assert (tmp_path / "out" / "labels.csv").read_text() == "b"
    assert not list((tmp_path / "out").glob("*edited*"))


def test_an_edited_result_stays_under_another_name(directory, tmp_path, capsys):
    out = tmp_path / "out"
    for number, edit in enumerate(("mine", "mine too"), start=1):
        finished(directory(), labels="a", others="b")
        (out / "labels.csv").write_text(edit)
        finished(directory(), labels="a", others="b")
        kept = out / f"labels.edited{'' if number == 1 else f'-{number}'}.csv"
        assert kept.read_text() == edit
        assert (out / "labels.csv").read_text() == "a"
        said = capsys.readouterr().err
        assert (
            said
            == f"warning: {out}/labels.csv was edited after it was written; it is kept as {kept}\n"
        )
    assert not list(out.glob("others.edited*"))


def test_the_directory_of_another_run_is_refused(directory):
    finished(directory(), labels="a")
    with pytest.raises(Taken, match=r"holds another run \(max_iteration=5\); name another"):
        directory(command=OTHER)


def test_a_run_that_failed_without_results_frees_its_directory(directory):
    directory().write(state="failed")
    assert directory(command=OTHER).state == "new"
    finished(directory(command=OTHER), labels="a")
    directory(command=OTHER).write(state="failed")
    with pytest.raises(Taken, match="holds another run"):
        directory()


@pytest.mark.parametrize("name", ["thesis.tex", "run.json"])
def test_foreign_directories_are_not_touched(directory, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("{}")
    with pytest.raises(Taken, match="--output_dir: "):
        directory()
    assert [file.name for file in (tmp_path / "out").iterdir()] == [name]


def test_the_default_is_the_next_one_that_is_free(directory, tmp_path, capsys):
    def place(command, **read):
        release()
        return str(default("training", command=command, version="1", read=read).root)

    assert place(COMMAND) == "runs/training"
    finished(directory(tmp_path / "runs/training"), labels="a")
    assert place(OTHER) == "runs/training-2"
    said = capsys.readouterr().out
    assert said == (
        "runs/training holds another run (max_iteration=5); this run goes to runs/training-2\n"
    )
    assert place(OTHER) == "runs/training-2"
    assert place(COMMAND) == "runs/training"
    capsys.readouterr()
    assert place(COMMAND, data="runs/training/clean_manifest.csv") == "runs/training-3"
    assert capsys.readouterr().out.startswith("runs/training must not hold --data, which is")
    with pytest.raises(outputs.InputError, match="must not lie in --data"):
        place(COMMAND, data=".")


def test_one_process_at_a_time_and_no_lock_outlives_it(directory, tmp_path):
    (tmp_path / "runs").mkdir()
    place = tmp_path / "runs" / "training"
    directory(place)
    release()
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout.readline() == "held\n"
    with pytest.raises(Taken, match=f"is in use by process {other.pid}; wait until it ends"):
        directory(place)
    assert str(default("training", command=COMMAND, version="1", read={}).root) == "runs/training-2"
    other.kill()
    other.wait()
    assert directory(place).state == "resumed"
    assert json.loads((place / "run.json").read_text())["state"] == "running"


def test_outputs_and_inputs_lie_apart(tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    (tmp_path / "link").symlink_to(out)
    for place, data, rule in (
        (photos / "out", photos, "must not lie in --data"),
        (photos, photos, "must not hold --data"),
        (out, out / "clean_manifest.csv", "must not hold --data"),
        (out, tmp_path / "link" / "clean_manifest.csv", "must not hold --data"),
    ):
        with pytest.raises(outputs.InputError, match=f"--output_dir: {rule}, which is read"):
            outputs.check_apart("--output_dir", place, {"data": data})
    outputs.check_apart("--output_dir", out, {"data": photos, "trusted": "", "test": "gs://b/t"})
