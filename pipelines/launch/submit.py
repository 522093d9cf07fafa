"""Submits a pipeline to Kubeflow or Vertex AI."""

import datetime
import tempfile
from pathlib import Path

from pipelines.launch.compile import compile_pipeline, display_names, specification
from pipelines.launch.following import Following
from pipelines.launch.kubeflow import Kubeflow
from pipelines.launch.paths import check_remote
from pipelines.launch.vertex import Vertex
from trainer import storage
from trainer.errors import InputError

OF_SERVERS = {
    Kubeflow: ("host", "token_file", "namespace", "timeout", "ca_file"),
    Vertex: ("project", "region", "timeout"),
}
SERVERS = {"kubeflow": Kubeflow, "vertex": Vertex}
OF_RUNS = ("run_experiment", "pipeline_root", "service_account")


def submit(name, profile, parameters, options):
    """Runs a pipeline on the target of a profile, or uploads it, and prints a link.

    Args:
      name: Name of the pipeline.
      profile: `pipelines.launch.profiles.Profile`.
      parameters: Parameters of the pipeline, from `pipelines.launch.parameters.resolve`.
      options: Flags of the command line by name: host, namespace, token_file, run_experiment,
        project, region, pipeline_root, service_account, upload, wait, wait_minutes, timeout,
        ca_file.

    Returns:
      The exit status; with `wait` that of the run.

    Raises:
      InputError: A flag is wrong, or the server refuses the request.
      RemoteError: The server does not answer.
    """
    kind = SERVERS[profile.target]
    server = kind(**{option: options[option] for option in OF_SERVERS[kind]})
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    check_remote(parameters)
    parameters |= checkpoint_root(profile, parameters, options["pipeline_root"], stamp)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / f"{name}.yaml"
        compile_pipeline(name, profile, file, parameters=parameters)
        if options["upload"]:
            print(server.upload(file, f"{name}-{stamp}"))
            return 0
        of_run = {option: options[option] for option in OF_RUNS}
        run = server.run(file, f"{name}-{stamp}", parameters, **of_run)
    print(server.link(run), flush=True)
    if not options["wait"]:
        return 0
    names = display_names(specification(name, profile, parameters))
    return Following(server, run, names).to_the_end(options["wait_minutes"])


def checkpoint_root(profile, parameters, pipeline_root, stamp):
    """Where checkpoints outlive a task, unless the profile has a volume for them.

    Another run of the same training resumes from them, unless nothing may be reused.
    """
    root = parameters["checkpoint_root"]
    if profile.workspace:
        if root:
            rule = "must not be given beside --workspace, which has the checkpoints"
            raise InputError("--checkpoint_root", rule, root)
        return {}
    if not root and storage.is_remote(pipeline_root or ""):
        root = f"{pipeline_root.rstrip('/')}/checkpoints"
    if not root and profile.retries:
        rule = (
            "must be a gs:// path or a directory on a volume, so that a retry resumes;"
            " or give --workspace, or --retries=0"
        )
        raise InputError("--checkpoint_root", rule, root)
    return {"checkpoint_root": root if profile.cache or not root else f"{root}/{stamp}"}
