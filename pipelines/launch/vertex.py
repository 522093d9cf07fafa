"""Submits to Vertex AI Pipelines."""

import contextlib
import importlib.util
import os

from pipelines.launch import task_details
from trainer.errors import InputError, RemoteError

SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class Vertex:
    """A project of Google Cloud, with the credentials of the environment.

    Args:
      project: Its name.
      region: Location of runs, such as us-central1.
      timeout: Seconds to wait for an answer.

    Raises:
      InputError: Project, registry, client or credentials are missing.
    """

    def __init__(self, project, region, timeout):
        if not project:
            raise InputError("--project", "must name a project of Google Cloud", project)
        if not importlib.util.find_spec("google.cloud.aiplatform"):
            rule = "needs the Vertex AI client; pip install ieg-pipeline[vertex]"
            raise InputError("--target", rule, "vertex")
        if not os.environ.get("REGISTRY"):
            rule = "must name in the environment the registry that make push-images sent images to"
            raise InputError("REGISTRY", rule, "")
        import google.auth

        self.project, self.region, self.timeout = project, region, timeout
        with one_line(project):
            self.credentials, _ = google.auth.default([SCOPE])

    def run(self, pipeline_file, name, parameters, run_experiment, pipeline_root, service_account):
        """Starts a run. Returns the client's `PipelineJob`."""
        if not str(pipeline_root).startswith("gs://"):
            raise InputError("--pipeline_root", "must be gs://<bucket>/<name>", pipeline_root)
        from google.cloud import aiplatform

        with one_line(self.project):
            job = aiplatform.PipelineJob(
                display_name=name,
                template_path=str(pipeline_file),
                pipeline_root=pipeline_root,
                parameter_values=parameters,
                project=self.project,
                location=self.region,
                credentials=self.credentials,
            )
            job.submit(
                service_account=service_account,
                experiment=run_experiment,
                create_request_timeout=self.timeout,
            )
        return job

    def progress(self, job):
        """State of a run, such as RUNNING, what went wrong, and its `task_details.Task`s."""
        with one_line(self.project):
            state = job.state.name.removeprefix("PIPELINE_STATE_").replace("CANCELLED", "CANCELED")
            tasks = task_details.of_vertex(job.gca_resource.job_detail.task_details)
            return state, job.gca_resource.error.message, tasks

    def last_lines(self, job, task):
        return ["its log: in Cloud Logging, by the link of the task in the run's page"]

    def where(self, task):
        return "the page of the run tells more"

    def link(self, job):
        return job._dashboard_uri()


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
    # The client raises RuntimeError where it cannot find or make an experiment.
    except (exceptions.GoogleAPIError, GoogleAuthError, ConnectionError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        rule = "a request that was sent may have been taken: look there before trying again"
        raise RemoteError(f"Vertex AI does not answer ({reason}); {rule}") from None
