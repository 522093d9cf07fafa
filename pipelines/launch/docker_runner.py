"""kfp's Docker runner, with the exit status of each container."""

import os
import re
import threading

from docker.types import DeviceRequest, Mount
from google.auth import _cloud_sdk
from kfp import local
from kfp.local import docker_task_handler

import docker
from components import images
from trainer.errors import InputError

CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"
running, starting = set(), threading.RLock()


def runner(image_names, paths, gpus=None, shared_memory=""):
    """The runner, after checking its requirements.

    Args:
      image_names: All images of a pipeline.
      paths: Absolute paths of directories and files for tasks. They are mounted under the same
        names; a file is mounted with its directory, which may hold the images of a table.
      gpus: How many GPUs training sees, or "all".
      shared_memory: Size of /dev/shm.

    Raises:
      InputError: There is no Docker engine, an image is missing, or there is no GPU.
    """
    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        raise InputError("--runner", "docker needs its engine to run", str(error)) from None
    for name in image_names:
        try:
            client.images.get(name)
        except docker.errors.ImageNotFound:
            rule = "must be on this machine; run make build-images, or pull it"
            raise InputError("image", rule, name) from None
    directories = {path if os.path.isdir(path) else os.path.dirname(path) for path in paths}
    options = {"shm_size": shared_memory.rstrip("i")} if shared_memory else {}
    if gpus:
        count = -1 if gpus == "all" else int(gpus)
        options["device_requests"] = [DeviceRequest(count=count, capabilities=[["gpu"]])]
        check_gpus(client, gpus, options)
    docker_task_handler.run_docker_container = run_container
    mounts = [Mount(path, path, type="bind") for path in directories]
    environment = {"TQDM_MININTERVAL": os.environ.get("TQDM_MININTERVAL", "3")}
    file = os.environ.get(CREDENTIALS) or _cloud_sdk.get_application_default_credentials_path()
    if os.path.isfile(file):
        environment[CREDENTIALS] = "/credentials.json"
        mounts.append(
            Mount(environment[CREDENTIALS], os.path.abspath(file), type="bind", read_only=True)
        )
    return local.DockerRunner(
        user=f"{os.getuid()}:{os.getgid()}",
        environment=environment,
        mounts=mounts,
        **options,
    )


def check_gpus(client, gpus, options):
    """Raises InputError unless a container can use these GPUs."""
    try:
        client.containers.run(images.TRAINER_GPU, ["true"], remove=True, **options)
    except docker.errors.APIError as error:
        rule = "needs these GPUs, their driver and NVIDIA's container toolkit"
        raise InputError("--gpus", f"{rule} ({error.explanation})", gpus) from None


def run_container(client, image, command, volumes, device_requests=None, **options):
    """Runs a container to its end, with GPUs only in the GPU image. Returns its exit status.

    kfp has the engine remove the container as it ends, and treats a missing container as success.
    """
    if image != images.TRAINER_GPU:
        device_requests = None
    with starting:
        container = client.containers.create(
            image, command, volumes=volumes, device_requests=device_requests, **options
        )
        running.add(container)
    try:
        # Unlike the log, this does not wait for the end of a line: a progress bar has none.
        output = container.attach(stream=True)
        container.start()
        unfinished = b""
        for content in output:  # kfp indents what it is given: it must not be half a line
            *lines, unfinished = re.split(rb"(?<=[\r\n])", unfinished + content)
            print(b"".join(lines).decode(errors="replace"), end="")
        print(unfinished.decode(errors="replace"), end="")
        return container.wait()["StatusCode"]
    finally:
        container.remove(force=True)
        running.remove(container)


def end_left_behind(place):
    """Removes the containers of a killed run, which still write below a path."""
    for container in docker.from_env().containers.list():
        if any(place in argument for argument in container.attrs["Args"]):
            container.remove(force=True)


def end():
    """Removes all running containers; no other one is started afterwards."""
    starting.acquire()
    for container in running.copy():
        container.remove(force=True)
