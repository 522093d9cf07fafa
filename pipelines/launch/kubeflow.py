"""Submitting to the API of Kubeflow Pipelines, v2beta1."""

import contextlib
import json
import logging
import os
import ssl
from pathlib import Path

import kfp_server_api as api
import urllib3
import yaml

from pipelines.launch import task_details
from trainer.errors import InputError, RemoteError

# The place where kfp's own client looks: pods of Kubeflow have their token there.
TOKEN_FILE = os.environ.get(
    "KF_PIPELINES_SA_TOKEN_PATH", "/var/run/secrets/kubeflow/pipelines/token"
)
WRONG = {
    400: "--parameters: the server refuses this run",
    401: "--token_file: must hold a valid bearer token",
    403: "--namespace: must be one that this token may use",
    404: "--host: must be the address of Kubeflow Pipelines, version 2",
    409: "--pipeline: the server has another one of this name",
}
IDS = ("run_id", "experiment_id", "pipeline_id")
TEMPORARY = (408, 429, 502, 503, 504)
# When one of these is raised, nothing has been sent.
BEFORE_SENDING = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ProxyError,
)
LAST_LINES = 10


class Kubeflow:
    """A server and its credentials.

    Args:
      host: Address of the API; KF_PIPELINES_ENDPOINT unless given.
      token_file: File with a bearer token; it is read for each request, because it may be renewed.
      namespace: Namespace of the user, if there are several.
      timeout: Seconds to wait for an answer.
      ca_file: PEM file of the certificate authorities to trust; SSL_CERT_FILE unless given, else
        those of the certifi package.

    Raises:
      InputError: There is no address, no token in the file, or no certificate.
    """

    def __init__(self, host=None, token_file=None, namespace=None, timeout=60, ca_file=None):
        host = (host or os.environ.get("KF_PIPELINES_ENDPOINT", "")).rstrip("/")
        if not host.startswith(("http://", "https://")):
            rule = "must be given, such as https://kubeflow.example.com/pipeline"
            raise InputError("--host", rule, host)
        if not token_file and Path(TOKEN_FILE).is_file():
            token_file = TOKEN_FILE
        self.host, self.token_file = host, token_file
        self.namespace, self.timeout = namespace, timeout
        configuration = api.Configuration(host=host)
        configuration.ssl_ca_cert = certificates(ca_file)
        if token_file:
            configuration.api_key_prefix["authorization"] = "Bearer"
            configuration.refresh_api_key_hook = self.read_token
            self.read_token(configuration)
        # It warns of each retry. The client resets the level of urllib3 itself again and again.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
        self.client = api.ApiClient(configuration)

    def read_token(self, configuration):
        try:
            token = Path(self.token_file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                "--token_file", f"must be readable ({error})", self.token_file
            ) from None
        if not token.isprintable() or not token:
            raise InputError("--token_file", "must hold one token", self.token_file)
        configuration.api_key["authorization"] = token

    def run(self, pipeline_file, name, parameters, run_experiment, pipeline_root, service_account):
        """Starts a run. Returns its id."""
        documents = list(yaml.safe_load_all(Path(pipeline_file).read_text()))
        spec = documents[0]
        if len(documents) > 1:
            spec = {"pipeline_spec": spec, "platform_spec": documents[1]}
        runtime = api.V2beta1RuntimeConfig(parameters=parameters, pipeline_root=pipeline_root)
        run = api.V2beta1Run(
            display_name=name,
            experiment_id=self.experiment(run_experiment or "ieg-pipeline"),
            pipeline_spec=spec,
            runtime_config=runtime,
            service_account=service_account,
        )
        return self.ask(api.RunServiceApi(self.client).run_service_create_run, run).run_id

    def experiment(self, name):
        """The id of an experiment, which is created if there is none of this name."""
        service = api.ExperimentServiceApi(self.client)
        predicate = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
        options = {"namespace": self.namespace} if self.namespace else {}
        options["filter"] = json.dumps({"predicates": [predicate]})
        found = self.ask(service.experiment_service_list_experiments, **options).experiments
        if found:
            return found[0].experiment_id
        wanted = api.V2beta1Experiment(display_name=name, namespace=self.namespace)
        return self.ask(service.experiment_service_create_experiment, wanted).experiment_id

    def upload(self, pipeline_file, name):
        """Keeps a pipeline on the server. Returns the address of its page."""
        upload = api.PipelineUploadServiceApi(self.client).upload_pipeline
        options = {"namespace": self.namespace} if self.namespace else {}
        id = self.ask(upload, str(pipeline_file), name=name, **options).pipeline_id
        return f"{self.host}/#/pipelines/details/{id}"

    def progress(self, run_id):
        """State of a run, such as RUNNING, what went wrong, and its `task_details.Task`s."""
        run = self.ask(api.RunServiceApi(self.client).run_service_get_run, run_id)
        details = run.run_details and run.run_details.task_details
        tasks = task_details.of_kubeflow(details or [])
        return run.state, run.error and run.error.message, tasks

    def last_lines(self, run_id, task):
        """The last lines of a task's log, or where to find it if the server does not have it."""
        resource = "/apis/v1alpha1/runs/{run_id}/nodes/{pod}/log"
        path = {"run_id": run_id, "pod": task.pod}
        try:
            with one_line(self.host):
                log = self.client.call_api(
                    *(resource, "GET", path),
                    auth_settings=["Bearer"],
                    response_type="str",
                    _return_http_data_only=True,
                    _request_timeout=self.timeout,
                )
        except (InputError, RemoteError):
            namespace = self.namespace or "NAMESPACE"
            return [f"its log: kubectl logs --namespace={namespace} {task.pod} --container=main"]
        return log.rstrip().splitlines()[-LAST_LINES:]

    def where(self, task):
        """The command that shows why a task waits."""
        return f"kubectl describe pod --namespace={self.namespace or 'NAMESPACE'} {task.pod}"

    def link(self, run_id):
        return f"{self.host}/#/runs/details/{run_id}"

    def ask(self, method, *arguments, **options):
        """Calls a method of the API; its errors become one line without the token."""
        with one_line(self.host):
            answer = method(*arguments, **options, _request_timeout=self.timeout)
            # The client turns an answer that is not JSON into a model without any value.
            ids = [getattr(answer, name) for name in answer.attribute_map if name in IDS]
            if ids and not any(ids):
                raise ValueError(answer)
            return answer


def certificates(ca_file):
    """Path of the certificate authorities to trust; None for those of certifi."""
    argument = "--ca_file" if ca_file else "SSL_CERT_FILE"
    ca_file = ca_file or os.environ.get("SSL_CERT_FILE")
    if not ca_file:
        return None
    try:
        ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        rule = f"must be a PEM file of certificates ({error})"
        raise InputError(argument, rule, ca_file) from None
    return ca_file


@contextlib.contextmanager
def one_line(host):
    try:
        yield
    except api.ApiException as error:
        answer = f"{error.status} {error.reason}{message(error.body)}"
        if error.status in WRONG:
            argument, _, rule = WRONG[error.status].partition(": ")
            raise InputError(argument, rule, answer) from None
        if error.status in TEMPORARY or not message(error.body):
            raise RemoteError(f"{host} answers {answer}; try again later") from None
        rule = "until that is fixed, it will answer the same again"
        raise RemoteError(f"{host} answers {answer}; {rule}") from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, urllib3.exceptions.SSLError):
            rule = "must have the authority that signed the server's certificate"
            raise InputError("--ca_file", rule, f"{host}: {reason}") from None
        rule = "a request that was sent may have been taken: look there before trying again"
        if isinstance(reason, BEFORE_SENDING):
            rule = "nothing was sent"
        raise RemoteError(f"{host} does not answer ({type(reason).__name__}); {rule}") from None
    except ValueError:
        raise RemoteError(f"{host} answers what its API does not allow") from None


def message(body):
    """The error message of a server, in short."""
    try:
        content = json.loads(body)
        text = content.get("message") or content.get("error") or ""
    except (TypeError, ValueError, AttributeError):
        return ""
    return f": {str(text).splitlines()[0][:300]}" if text else ""
