import re
import shutil
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
    shutil.copytree(images.ROOT / "trainer" / "report", tmp_path / "trainer")
    for part in ("requirements", "docker"):
        shutil.copytree(images.ROOT / part, tmp_path / part)
    monkeypatch.setattr(images, "ROOT", tmp_path)
    tags = []
    for content in ("a", "b", "a"):
        (tmp_path / "trainer" / "x.py").write_text(content)
        tags.append(images.tag())
    assert tags[0] == tags[2] != tags[1]


def test_an_installed_package_names_no_images(tmp_path):
    """It lacks files that go into an image: compiling is refused, running here is not."""
    for package in ("trainer", "components", "pipelines"):
        shutil.copytree(images.ROOT / package, tmp_path / "site" / package)
    (tmp_path / "work").mkdir()
    where = {"cwd": tmp_path / "work", "env": {"PYTHONPATH": str(tmp_path / "site")}}
    command = [sys.executable, "-m", "pipelines", "compile", "--output=a.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, **where)
    assert done.returncode == 2
    assert done.stderr.startswith("error: images: must be named by code in its repository")
    assert not list((tmp_path / "work").iterdir())
    code = (
        "from pipelines.launch import compile, profiles;"
        "print(compile.specification('training', profiles.resolve('local', 'local')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, **where)
    assert "-unknown" in done.stdout
