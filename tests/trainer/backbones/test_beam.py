"""Embeddings by Beam's local runner."""

import numpy as np
import pytest

from trainer.backbones import beam, embed, shards
from trainer.errors import InputError
from trainer.settings.data import DataSettings

FILES = ("train.npy", "test.npy")


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 32)


def by_beam(tmp_path, shared=False):
    options = f"temp_location={tmp_path}/shared" if shared else ""
    return DataSettings(beam_runner="DirectRunner", beam_options=options)


@pytest.mark.parametrize("shared", [False, True])
def test_beam_makes_what_one_machine_makes(
    embedded, photographs, backbone, settings, tmp_path, small_shards, shared
):
    files = by_beam(tmp_path, shared)
    made = embed.embed(photographs, backbone, tmp_path / "a", settings, files=files)
    for name in FILES:
        np.testing.assert_array_equal(np.load(tmp_path / "a" / name), np.load(embedded / name))
    assert made["id"] == embed.artifacts.read(embedded, "embeddings")["id"]
    assert not list(tmp_path.glob("shared/*"))
    left = {*FILES, "asked.json", "manifest.json", "manifest.json.partial"}
    assert {file.name for file in (tmp_path / "a").iterdir()} <= left


def test_a_run_that_was_cut_off_takes_the_shards_that_are_there(
    embedded, photographs, backbone, settings, tmp_path, small_shards, monkeypatch
):
    files = by_beam(tmp_path, shared=True)

    class Failing(beam.Worker):
        def process(self, shard):
            if shard[0] == "train-000000032.npy":
                raise RuntimeError("this worker fails")
            super().process(shard)

    with monkeypatch.context() as patched, pytest.raises(Exception, match="this worker fails"):
        patched.setattr(beam, "Worker", Failing)
        embed.embed(photographs, backbone, tmp_path / "a", settings, files=files)
    (folder,) = (tmp_path / "shared").iterdir()
    first = folder / "train-000000000.npy"
    np.save(first, np.load(embedded / "train.npy")[:32])
    since = first.stat().st_mtime_ns
    assert not (tmp_path / "a" / "manifest.json").exists()
    written, write = [], shards.write_shard

    def note(file, rows):
        written.append((file.name, (folder / file.name).stat().st_mtime_ns == since))
        write(file, rows)

    monkeypatch.setattr(shards, "write_shard", note)
    embed.embed(photographs, backbone, tmp_path / "a", settings, files=files)
    assert written == [
        ("train-000000000.npy", True),
        ("train-000000032.npy", False),
        ("test-000000000.npy", False),
    ]
    for name in FILES:
        np.testing.assert_array_equal(np.load(tmp_path / "a" / name), np.load(embedded / name))


def test_a_runner_that_is_none(photographs, backbone, settings, tmp_path):
    files = DataSettings(beam_runner="NoRunner")
    with pytest.raises(InputError, match="--beam_runner: must be a runner of Beam"):
        embed.embed(photographs, backbone, tmp_path / "a", settings, files=files)
    assert not (tmp_path / "a" / "manifest.json").exists()
