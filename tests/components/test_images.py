import re
import subprocess
import sys

from components import images


def names(**environment):
    code = "from components import images; print(images.DATA, images.TRAINER_GPU)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    return done.stdout.split()


def test_names_say_registry_and_content():
    tag = re.escape(images.tag())
    assert re.fullmatch(r"\d+\.\d+\.\d+-[0-9a-f]{12}", images.tag())
    assert re.fullmatch(f"ieg-pipeline/python-data:{tag}", names()[0])
    data, trainer = names(REGISTRY="host:5000/team/")
    assert re.fullmatch(f"host:5000/team/ieg-pipeline/python-data:{tag}", data)
    assert re.fullmatch(f"host:5000/team/ieg-pipeline/python-trainer-gpu:{tag}", trainer)


def test_the_tag_follows_the_content(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "ROOT", tmp_path)
    (tmp_path / "trainer").mkdir()
    tags = []
    for content in ("a", "b", "a"):
        (tmp_path / "trainer" / "x.py").write_text(content)
        tags.append(images.tag())
    assert tags[0] == tags[2] != tags[1]
