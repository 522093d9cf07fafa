import json
import resource
import shutil

import numpy as np
import pytest

from trainer import artifacts
from trainer.errors import InputError


@pytest.fixture
def artifact(tmp_path):
    directory = artifacts.start(tmp_path / "artifact")
    (directory / "values.txt").write_text("1 2 3")
    artifacts.finish(directory, "numbers", {"source": {"id": "abc"}}, count=3)
    return directory


def test_what_was_written_is_read(artifact):
    read = artifacts.read(artifact, "numbers")
    assert (read["kind"], read["parents"], read["count"]) == ("numbers", {"source": "abc"}, 3)
    assert set(read["files"]) == {"values.txt"}
    assert {path.name for path in artifact.iterdir()} == {"manifest.json", "values.txt"}


def test_the_id_follows_from_the_content(artifact, tmp_path):
    def written(name, text):
        directory = artifacts.start(tmp_path / name)
        (directory / "values.txt").write_text(text)
        return artifacts.finish(directory, "numbers")["id"]

    assert written("same", "1 2 3") == artifacts.read(artifact, "numbers")["id"]
    assert written("other", "1 2 4") != artifacts.read(artifact, "numbers")["id"]


def test_an_unfinished_directory_is_not_an_artifact(artifact):
    (artifact / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"numbers: .*half-written"):
        artifacts.read(artifact, "numbers")


def test_a_missing_directory(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        artifacts.read(tmp_path / "nothing", "numbers")


def test_another_kind(artifact):
    with pytest.raises(InputError, match="must be of kind letters"):
        artifacts.read(artifact, "letters")


def test_another_schema_version(artifact):
    content = json.loads((artifact / "manifest.json").read_text())
    (artifact / "manifest.json").write_text(json.dumps(content | {"schema_version": 99}))
    with pytest.raises(InputError, match=r"schema version 2; .*: run again with this version, in"):
        artifacts.read(artifact, "numbers")


@pytest.mark.parametrize("damage", ["", "1 2", None])
def test_a_truncated_or_missing_file(artifact, damage):
    (artifact / "values.txt").unlink()
    if damage is not None:
        (artifact / "values.txt").write_text(damage)
    with pytest.raises(InputError, match=r"values\.txt is missing or"):
        artifacts.read(artifact, "numbers")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"kind": 1}'])
def test_an_unreadable_manifest(artifact, content):
    (artifact / "manifest.json").write_text(content)
    with pytest.raises(InputError, match="numbers"):
        artifacts.read(artifact, "numbers")


def test_an_earlier_artifact_is_replaced(artifact):
    directory = artifacts.start(artifact)
    assert not (directory / "values.txt").exists()
    with pytest.raises(InputError, match="half-written"):
        artifacts.read(directory, "numbers")


def test_an_interrupted_artifact_is_replaced(tmp_path):
    (artifacts.start(tmp_path / "a") / "rest.txt").touch()
    assert not (artifacts.start(tmp_path / "a") / "rest.txt").exists()


@pytest.mark.parametrize(
    "theirs", [None, "", "[]", '{"name": "web app"}', '{"made_by": "me"}', '{"made_by": 1}']
)
def test_a_directory_of_somebody_else_is_left_alone(tmp_path, theirs):
    """Also when it has a manifest.json of another program."""
    if theirs is not None:
        (tmp_path / "manifest.json").write_text(theirs)
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="must be new or empty"):
        artifacts.start(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_an_unwritable_path(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="must be writable"):
        artifacts.start(tmp_path / "file" / "artifact")


def test_a_parent_that_does_not_fit(artifact):
    child = artifacts.read(artifact, "numbers")
    artifacts.check_parent(child, {"kind": "source", "id": "abc"})
    with pytest.raises(InputError, match="must be made from the source it is used with"):
        artifacts.check_parent(child, {"kind": "source", "id": "xyz"})
    with pytest.raises(InputError):
        artifacts.check_parent(child, {"kind": "unrelated", "id": "abc"})


def test_copies_are_as_good(artifact, tmp_path):
    shutil.copytree(artifact, tmp_path / "copy")
    assert artifacts.read(tmp_path / "copy", "numbers") == artifacts.read(artifact, "numbers")


def test_an_edited_artifact_makes_way_under_another_name(artifact, tmp_path, capsys):
    for name in ("values.txt", "notes.txt"):
        (artifact / name).write_text("3 2 1")
        artifacts.start(artifact)
        kept = sorted(tmp_path.glob("artifact.edited*"))[-1]
        assert (kept / name).read_text() == "3 2 1"
        assert f"it is kept as {kept}" in capsys.readouterr().err
        (artifact / "values.txt").write_text("1 2 3")
        artifacts.finish(artifact, "numbers")
    artifacts.start(artifact)
    assert len(list(tmp_path.glob("artifact.edited*"))) == 2


def test_an_artifact_is_replaced_when_the_new_one_is_whole(artifact, tmp_path):
    with pytest.raises(KeyError), artifacts.writing(artifact) as directory:
        (directory / "values.txt").write_text("4 5 6")
        raise KeyError
    assert (artifact / "values.txt").read_text() == "1 2 3"
    with artifacts.writing(artifact) as directory:
        (directory / "values.txt").write_text("4 5 6")
        artifacts.finish(directory, "numbers")
        assert (artifact / "values.txt").read_text() == "1 2 3"
    assert (artifact / "values.txt").read_text() == "4 5 6"
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]


def test_a_disk_that_is_full_in_the_middle_of_an_array_is_one_line(tmp_path):
    """NumPy then says how much it wrote, and not why; here a limit of the process stops it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(InputError, match="enough room") as raised, artifacts.enough_room():
            np.save(tmp_path / "a.npy", np.zeros(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "requested" in str(raised.value)
