import re
import subprocess
import sys

import pytest

from components import images
from trainer.errors import InputError


def names(**environment):
    code = "from components import images; print(images.TRAINER, images.TRAINER_GPU)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    return done.stdout.split()


def test_names_say_registry_and_content():
    tag = re.escape(images.tag())
    assert re.fullmatch(r"\d+\.\d+\.\d+-[0-9a-f]{12}", images.tag())
    assert re.fullmatch(f"ieg-pipeline/trainer:{tag}", names()[0])
    on_cpus, on_gpus = names(REGISTRY="host:5000/team/")
    assert re.fullmatch(f"host:5000/team/ieg-pipeline/trainer:{tag}", on_cpus)
    assert re.fullmatch(f"host:5000/team/ieg-pipeline/trainer-gpu:{tag}", on_gpus)


def test_the_tag_follows_the_content(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "ROOT", tmp_path)
    monkeypatch.setattr(images, "CHECKOUT", tmp_path / "docker" / "Dockerfile")
    (tmp_path / "trainer").mkdir()
    assert images.tag().endswith("-installed")
    with pytest.raises(InputError, match="docker/Dockerfile: must exist to name the images"):
        images.check()
    images.CHECKOUT.parent.mkdir()
    images.CHECKOUT.touch()
    tags = []
    for content in ("a", "b", "a"):
        (tmp_path / "trainer" / "x.py").write_text(content)
        tags.append(images.tag())
    assert tags[0] == tags[2] != tags[1]
