"""Compiled steps are kept where that is possible, and where the user says."""

import pytest

from trainer import xla_cache

OWN = f"{xla_cache.DIRECTORY}/elsewhere"


@pytest.mark.parametrize(
    ("home", "given", "kept"),
    [
        ("new", "", True),
        ("new", "--tf_xla_clustering_debug", True),
        ("new", OWN, False),
        ("file", "", False),
    ],
)
def test_where_compiled_steps_are_kept(monkeypatch, tmp_path, home, given, kept):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / home))
    monkeypatch.setenv(xla_cache.FLAGS, given)
    xla_cache.keep()
    said = xla_cache.os.environ[xla_cache.FLAGS]
    assert said.startswith(given)
    assert (f"{xla_cache.DIRECTORY}{tmp_path}/{home}/ieg-pipeline/xla/" in said) == kept
    assert kept or said == given
