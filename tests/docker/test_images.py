"""The image: what is in it, and what its entry point does."""

import json

import pytest

import docker
from components import images

pytestmark = pytest.mark.docker
# As Kubeflow starts the containers of its users.
RESTRICTED = {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}


@pytest.fixture
def image(engine):
    return engine.images.get(images.TRAINER)


def shell(engine, image, command):
    return engine.containers.run(
        image, ["-c", command], entrypoint="/bin/sh", remove=True, user="0"
    ).decode()


def test_user_and_labels(image):
    config = image.attrs["Config"]
    assert config["User"] == "1000:1000"
    assert config["Labels"]["org.opencontainers.image.version"] == images.tag()
    assert config["Labels"]["org.opencontainers.image.title"] == "ieg-pipeline"
    assert image.attrs["Size"] < 3e9


def test_no_compiler_cache_or_secret(engine, image):
    found = "; ".join(f"command -v {tool} || true" for tool in ("gcc", "cc", "g++", "make", "git"))
    assert shell(engine, image, found) == ""
    places = "/root/.cache /home/ieg/.cache /tmp/* /var/lib/apt/lists/*"
    secrets = "/root/.netrc /etc/pip.conf /root/.config/pip /root/.docker /opt/venv/pip.conf"
    assert shell(engine, image, f"ls -d {places} {secrets} 2>/dev/null || true") == ""
    told = json.dumps([image.attrs["Config"]["Env"], image.history()]).lower()
    for word in ("token", "password", "secret", "index-url", "index_url", "_proxy"):
        assert word not in told


def test_the_packages_are_those_of_the_lock(engine, image):
    broken = shell(engine, image, "/opt/venv/bin/pip check 2>&1 || true").strip()
    # It needs that for text alone, and it would bring a second TensorFlow.
    assert broken == "keras-hub 0.32.0 requires tensorflow-text, which is not installed."
    source = shell(engine, image, "cat /opt/ieg-pipeline/trainer/training/fit.py")
    assert source == (images.ROOT / "trainer" / "training" / "fit.py").read_text()


@pytest.mark.parametrize("user", [None, "12345:0"], ids=["its own", "one of the cluster"])
def test_the_entry_point_is_the_trainer(engine, tmp_path, user):
    tmp_path.chmod(0o777)
    settings = ("--method=supervised", "--max_iteration=4", "--eval_freq=4")
    said = engine.containers.run(
        images.TRAINER,
        ["--dataset=digits_uniform_0.9", *settings, "--checkpoint_path=/out/run"],
        volumes={str(tmp_path): {"bind": "/out"}},
        user=user,
        remove=True,
        network_mode="none",
        **RESTRICTED,
    )
    metrics = json.loads((tmp_path / "run" / "metrics" / "metrics.json").read_text())
    assert said.decode().endswith("outputs: /out/run\n")
    assert 0 <= metrics["test/top1"] <= 1
    assert (tmp_path / "run").stat().st_uid == int((user or "1000:").split(":")[0])


def test_the_directory_to_write_to_need_not_be_mounted(engine):
    flags = ("--dataset=digits_uniform_0.9", "--method=supervised", "--max_iteration=2")
    command = [*flags, "--eval_freq=2", "--checkpoint_path=/out"]
    said = engine.containers.run(images.TRAINER, command, remove=True)
    assert said.decode().endswith("outputs: /out\n")


def test_wrong_input_ends_with_status_2(engine):
    with pytest.raises(docker.errors.ContainerError) as raised:
        engine.containers.run(images.TRAINER, ["--method=iegg"], remove=True, stderr=True)
    assert raised.value.exit_status == 2
    assert raised.value.stderr.startswith(b"error: --method: must be one of")


def test_other_commands(engine):
    said = engine.containers.run(images.TRAINER, ["python", "-c", "print(6 * 7)"], remove=True)
    assert said == b"42\n"
