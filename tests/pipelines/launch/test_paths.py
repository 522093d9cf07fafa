"""Paths among the parameters of a pipeline."""

import pytest

from pipelines.launch import paths
from trainer.errors import InputError


@pytest.mark.parametrize("prefix", ["", "hub:"])
def test_the_path_of_a_backbone_is_made_absolute(prefix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.keras").mkdir()
    found, places = paths.absolute({"backbone": f"{prefix}own.keras", "method": "ieg"})
    assert found == {"backbone": f"{prefix}{tmp_path}/own.keras", "method": "ieg"}
    assert places == {f"{tmp_path}/own.keras"}
    with pytest.raises(InputError, match="must be where the cluster sees it"):
        paths.check_remote({"backbone": f"{prefix}own.keras"})


@pytest.mark.parametrize(
    "name", ["none", "efficientnet_lite0", "hub:dinov2_small", "hub:gs://a/b", "keras:ResNet50V2"]
)
def test_the_name_of_a_backbone_is_no_path(name):
    assert paths.absolute({"backbone": name}) == ({"backbone": name}, set())
