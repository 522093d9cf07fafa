"""Submitting to Vertex AI Pipelines."""

import contextlib
import importlib.util

from trainer.errors import InputError, RemoteError


def check(project, pipeline_root):
    """Raises InputError unless a run can be asked for."""
    if not project:
        raise InputError("--project", "must name a project of Google Cloud", project)
    if not str(pipeline_root).startswith("gs://"):
        raise InputError("--pipeline_root", "must be gs://<bucket>/<name>", pipeline_root)
    if not importlib.util.find_spec("google.cloud.aiplatform"):
        rule = "needs the Vertex AI client; pip install ieg-pipeline[vertex]"
        raise InputError("--target", rule, "vertex")


def job(pipeline_file, name, parameters, pipeline_root, project, region):
    """A `PipelineJob` that is not sent yet, with the credentials of the environment."""
    from google.cloud import aiplatform

    with one_line(project):
        return aiplatform.PipelineJob(
            display_name=name,
            template_path=str(pipeline_file),
            pipeline_root=pipeline_root,
            parameter_values=parameters,
            project=project,
            location=region,
        )


def start(job, service_account, experiment, timeout):
    """Sends the job. Returns the address of its page."""
    with one_line(job.project):
        job.submit(
            service_account=service_account, experiment=experiment, create_request_timeout=timeout
        )
        return job._dashboard_uri()


def state(job):
    """The state of a run, such as RUNNING, and what went wrong with it."""
    with one_line(job.project):
        state = job.state.name.removeprefix("PIPELINE_STATE_").replace("CANCELLED", "CANCELED")
        return state, job.error and job.error.message


@contextlib.contextmanager
def one_line(project):
    from google.api_core import exceptions
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

    try:
        yield
    except DefaultCredentialsError as error:
        rule = "must be there: gcloud auth application-default login"
        raise InputError("credentials", rule, str(error).splitlines()[0]) from None
    except exceptions.ClientError as error:
        rule = "must exist, and these credentials must be allowed to use it"
        raise InputError("--project", rule, f"{project}: {error.message}") from None
    except (exceptions.GoogleAPIError, GoogleAuthError, ConnectionError) as error:
        reason = str(error).splitlines()[0]
        rule = "a request that was sent may have been taken: look there before trying again"
        raise RemoteError(f"Vertex AI does not answer ({reason}); {rule}") from None
