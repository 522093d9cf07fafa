"""Against an emulator of Cloud Storage, a process that is killed and started again."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.webvision_files import write_probe, write_tfds
from trainer import storage
from trainer.data import inputs, records
from trainer.data.sources import folders, webvision
from trainer.errors import InputError, RemoteError
from trainer.settings.data import DataSettings

pytestmark = pytest.mark.usefixtures("bucket")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """40 images of two classes."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for i in range(40):
        file = root / f"class {i % 2}" / f"ö {i}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(256, size=(12, 12, 3)).astype(np.uint8)).save(file)
    return root


def test_a_folder_in_storage(folder, tmp_path):
    storage.upload(folder, "gs://photos/own set")
    remote = DataSettings(data="gs://photos/own set/")
    there = records.prepare("image_folder", tmp_path / "a", remote)
    here = records.prepare("image_folder", tmp_path / "b", DataSettings(data=str(folder)))
    assert there["id"] == here["id"]
    by_beam = DataSettings(data="gs://photos/own set", beam_runner="DirectRunner")
    found = folders.data_folder(by_beam)
    assert found.parts[0].path.str.startswith("gs://photos/own set/class ").sum() == 40
    assert found.parts[0].label.value_counts().to_dict() == {"class 0": 20, "class 1": 20}


def test_check_of_remote_input(folder, tmp_path):
    storage.upload(folder, "gs://photos/looked at")
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "a.csv").write_text("path,label")
    storage.upload(tmp_path / "table", "gs://photos/table")
    first = inputs.check("image_folder", DataSettings(data="gs://photos/looked at"))
    assert inputs.check("image_folder", DataSettings(data="gs://photos/looked at")) == first
    (tmp_path / "table" / "0.csv").write_text("other")
    storage.upload(tmp_path / "table", "gs://photos/looked at/class 0")
    assert inputs.check("image_folder", DataSettings(data="gs://photos/looked at")) != first
    csv_file = inputs.check("csv", DataSettings(data="gs://photos/table/a.csv"))
    assert csv_file != inputs.check("csv", DataSettings(data="gs://photos/looked at/class 0/a.csv"))
    for dataset, settings, rule in (
        ("image_folder", {"data": "gs://photos/none"}, "--data: must be a file or directory th"),
        ("csv", {"data": "gs://photos/table"}, "--data: must be a table; --dataset=image_folder"),
        ("image_folder", {"data": "gs://photos/table/a.csv"}, "--data: must be a directory with"),
        ("csv", {"data": "gs://photos/table/a.csv", "test": "gs://photos/no"}, "--test: must be"),
        ("csv", {"data": "gs://no bucket/a.csv"}, "path in storage: must exist"),
    ):
        with pytest.raises(InputError, match=rule):
            inputs.check(dataset, DataSettings(**settings))


def test_files_left_out_in_storage(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "here")
    shutil.copytree(folder, tmp_path / "here" / "trusted")
    (tmp_path / "here" / "class 0" / "@eaDir").mkdir()
    (tmp_path / "here" / "class 0" / "@eaDir" / "x.png").write_bytes(b"x")
    (tmp_path / "here" / "class 0" / "notes.txt").write_bytes(b"x")
    storage.upload(tmp_path / "here", "gs://photos/more")
    settings = {"data": "gs://photos/more", "trusted": "gs://photos/more/trusted"}
    near = folders.data_folder(DataSettings(**settings))
    far = folders.data_folder(DataSettings(**settings, beam_runner="DirectRunner"))
    for found in (near, far):
        assert len(found.parts[0]) == 40
    assert {reason for _, reason in far.left_out} == {
        *("is hidden, or left by a system", "is given as --trusted", "is not named as an image")
    }
    assert {reason for _, reason in near.left_out} == {
        *("is hidden, or left by a system", "is given as --trusted", "is no image")
    }


def test_a_table_with_paths_in_storage(folder, tmp_path):
    storage.upload(folder, "gs://photos/by table")
    files = sorted(folder.rglob("*.png"))
    for name, place in (("far.csv", "gs://photos/by table/"), ("near.csv", "")):
        with open(tmp_path / name, "w", newline="", encoding="utf-8") as stream:
            rows = [(place + str(file.relative_to(folder)), file.parent.name) for file in files]
            csv.writer(stream).writerows([("path", "label"), *rows])
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    ids = {
        records.prepare("csv", tmp_path / str(i), DataSettings(data=data))["id"]
        for i, data in enumerate((str(tmp_path / "far.csv"), str(tmp_path / "near.csv")))
    }
    assert len(ids) == 1
    storage.client().bucket("photos").blob("by table/t.csv").upload_from_filename(
        tmp_path / "far.csv"
    )
    remote = DataSettings(data="gs://photos/by table/t.csv")
    assert records.prepare("csv", tmp_path / "remote", remote)["id"] in ids


def test_a_local_copy_is_fetched_again_only_after_a_change(emulator, bucket):
    bucket.blob("a/b.txt").upload_from_string("old")
    for _ in range(2):
        assert storage.fetched("gs://photos/a/b.txt").read_text() == "old"
    downloads = Path(emulator.log.name).read_text().count("GET /download/storage/v1/b/photos/o/a/b")
    downloads += (
        Path(emulator.log.name).read_text().count("GET /download/storage/v1/b/photos/o/a%2F")
    )
    assert downloads == 1
    bucket.blob("a/b.txt").upload_from_string("new")
    assert storage.fetched("gs://photos/a/b.txt").read_text() == "new"


FETCH = """
import sys
from trainer import command_line, storage

command_line.run(lambda arguments: print(storage.fetched(arguments[0])), "", {})
"""


def test_a_server_that_is_killed_in_the_middle(emulator, bucket, tmp_path):
    content = np.random.default_rng(0).bytes(100_000_000)
    bucket.blob("large").upload_from_string(content)
    fetch = [sys.executable, "-c", FETCH, "gs://photos/large"]
    running = subprocess.Popen(fetch, stderr=subprocess.PIPE, text=True)
    while not (partial := list(tmp_path.glob("cache/photos/large.*.partial"))) or (
        partial[0].stat().st_size < 5_000_000
    ):
        assert running.poll() is None
        time.sleep(0.001)
    emulator.kill()
    _, said = running.communicate()
    assert running.returncode == 1
    assert said.splitlines()[-1].startswith("error: gs://photos/large cannot be reached (")
    assert not (tmp_path / "cache/photos/large").exists()
    length = partial[0].stat().st_size
    assert 5_000_000 <= length < len(content)

    emulator.start()
    assert storage.fetched("gs://photos/large").read_bytes() == content
    assert " 206 " in Path(emulator.log.name).read_text()  # a part of it
    assert not partial[0].exists()


def test_a_damaged_download_is_refused_and_fetched_again(bucket, tmp_path):
    blob = bucket.blob("changed")
    blob.upload_from_string("a" * 1000)
    blob.reload()
    partial = tmp_path / "cache" / "photos" / f"changed.{blob.generation}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_text("b" * 500)
    with pytest.raises(RemoteError, match="gs://photos/changed arrived damaged"):
        storage.fetched("gs://photos/changed")
    assert not list(partial.parent.iterdir())
    assert storage.fetched("gs://photos/changed").read_text() == "a" * 1000


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gs://photos/none", "--data: must be a file or directory that exists"),
        ("gs://no-such-bucket/a", "path in storage: must exist, and these credentials must be"),
        ("gs://photos/../a", "name in storage: must not have empty parts or dots alone"),
    ],
)
def test_paths_that_lead_nowhere(path, message, tmp_path):
    with pytest.raises(InputError, match=message):
        records.prepare("image_folder", tmp_path / "out", DataSettings(data=path))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["odd/../../x", "odd//x", "odd/./x"])
def test_a_name_that_would_leave_the_cache(name):
    """As in a listing; the emulator itself cannot keep such a name."""
    with pytest.raises(InputError, match="name in storage: must not have empty parts or dots"):
        storage.fetch([f"gs://photos/{name}"])


def test_manifests_are_sent_last_and_the_old_goes(emulator, bucket, tmp_path):
    bucket.blob("run/old").upload_from_string("old")
    for name in ("a/manifest.json", "z/data", "a/data"):
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_text(name)
    storage.upload(tmp_path / "run", "gs://photos/run")
    by_time = sorted(storage.listing("gs://photos/run"), key=lambda blob: blob.generation)
    assert [blob.name for blob in by_time] == ["run/a/data", "run/z/data", "run/a/manifest.json"]


def trainer(*flags, cwd):
    command = [sys.executable, "-m", "trainer", "--method=supervised", "--eval_freq=10", *flags]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_a_run_in_storage_resumes_on_another_machine(tmp_path):
    flags = ("--max_iteration=60", "--checkpoint_path=gs://photos/runs/1")
    killed = trainer(*flags, cwd=tmp_path)
    while not any("ckpt-20.index" in file for file in storage.files("gs://photos/runs/1")):
        assert killed.poll() is None
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    shutil.rmtree(os.environ["IEG_CACHE"])
    again, whole = (
        trainer(*flags[:1], f"--checkpoint_path={place}", cwd=tmp_path)
        for place in ("gs://photos/runs/1", "whole")
    )
    for run in (again, whole):
        _, error = run.communicate()
        assert run.returncode == 0, error.decode()
    steps = [
        [row["test/top1"] for row in json.loads(file.read_text())]
        for file in (
            storage.fetched("gs://photos/runs/1/checkpoints/history.json"),
            tmp_path / "whole" / "checkpoints" / "history.json",
        )
    ]
    assert steps[0] == steps[1]
    assert len(steps[0]) == 6


def test_webvision_from_its_archive(bucket, tmp_path):
    labels = [i % 50 for i in range(100)]
    splits = {"train": labels, "val": labels[:50]}
    directory = write_tfds(tmp_path, "webvisionmini-google", webvision.class_names(), splits)
    write_probe(directory.parent, 100)
    with zipfile.ZipFile(tmp_path / "release.zip", "w") as archive:
        for file in sorted(directory.parent.rglob("*")):
            archive.write(file, f"webvisionmini2/{file.relative_to(directory.parents[1])}")
    bucket.blob("ieg/release.zip").upload_from_filename(tmp_path / "release.zip")
    remote, local = (
        records.prepare("webvisionmini", tmp_path / name, DataSettings(data=str(data)))
        for name, data in (("a", "gs://photos/ieg/release.zip"), ("b", tmp_path))
    )
    assert remote["id"] == local["id"]
