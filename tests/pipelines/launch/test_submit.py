"""Submitting, to a server on loopback that checks requests against the published API."""

import http.server
import json
import re
import ssl
import subprocess
import threading
import time

import kfp_server_api as api
import pytest
from absl import flags
from google.auth.credentials import AnonymousCredentials
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipelines import __main__
from pipelines.launch import following
from trainer.errors import InputError, RemoteError

TOKEN = "very-secret"


def as_model(kind, content):
    """`content` as the client's model of this kind, if that keeps all of it."""
    client = api.ApiClient()
    response = type("Response", (), {"data": json.dumps(content)})
    model = client.deserialize(response, kind)
    assert client.sanitize_for_serialization(model) == content
    return model


class Server(http.server.ThreadingHTTPServer):
    """Kubeflow Pipelines as far as a submission sees it.

    Attributes:
      states: Of the run, one for each question.
      tasks: Details of its tasks: the same each time, or a list of such lists, one a question.
      trouble: Status to answer with, "drop", "slow" or "nonsense", by method and end of the path;
        or a list, for one question after another.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.tasks, self.logs = [], {}
        self.requests, self.trouble, self.experiments = [], {}, []
        self.states = ["PENDING", "RUNNING", "RUNNING", "SUCCEEDED"]
        self.host = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def handle_request(self):
        path = self.path.partition("?")[0].removeprefix("/apis/v2beta1")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        trouble = self.server.trouble.get((self.command, path))
        if isinstance(trouble, list):
            trouble = trouble.pop(0) if trouble else None
        if trouble == "drop":
            self.connection.close()
        elif trouble == "slow":
            time.sleep(3)
        elif trouble == "nonsense":
            self.answer(200, b"<html>Sign in</html>")
        elif trouble:
            self.answer(trouble, json.dumps({"error": f"said {trouble}", "code": 5}).encode())
        elif log := re.fullmatch("/apis/v1alpha1/runs/r1/nodes/(.*)/log", path):
            lines = self.server.logs.get(log[1])
            self.answer(200 if lines else 404, (lines or "").encode(), "text/plain")
        else:
            self.answer(200, json.dumps(self.good(path, body)).encode())

    do_GET = do_POST = handle_request

    def good(self, path, body):
        if (self.command, path) == ("GET", "/experiments"):
            return {"experiments": self.server.experiments}
        if (self.command, path) == ("POST", "/experiments"):
            experiment = as_model("V2beta1Experiment", json.loads(body))
            found = {"experiment_id": "e1", "display_name": experiment.display_name}
            self.server.experiments.append(found)
            return found
        if (self.command, path) == ("POST", "/runs"):
            run = as_model("V2beta1Run", json.loads(body))
            assert run.experiment_id == "e1"
            return {"run_id": "r1", "display_name": run.display_name}
        if (self.command, path) == ("GET", "/runs/r1"):
            state = self.server.states.pop(0)
            run = {"run_id": "r1", "state": state}
            if state == "FAILED":
                run["error"] = {"code": 9, "message": "out of memory"}
            if self.server.tasks:
                details = self.server.tasks.pop(0)
                as_model("V2beta1RunDetails", {"task_details": details})
                run["run_details"] = {"task_details": details}
            return run
        assert (self.command, path) == ("POST", "/pipelines/upload")
        assert b"pipelineInfo" in body
        return {"pipeline_id": "p1", "display_name": "training"}

    def answer(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(following, "POLL", 0.01)
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def submitted(*arguments):
    """Submits with these flags. Returns the exit status."""
    flags.FLAGS.unparse_flags()
    try:
        flags.FLAGS(["", *arguments])
        __main__.submit()
    except SystemExit as end:
        return end.code
    finally:
        flags.FLAGS.unparse_flags()


def to(server, *arguments):
    return submitted(f"--host={server.host}", *arguments)


def request(server, method, path):
    """Body and headers of the only such request."""
    ((headers, body),) = [
        r[2:]
        for r in server.requests
        if r[0] == method and r[1].partition("?")[0] == f"/apis/v2beta1{path}"
    ]
    return headers, body


def test_a_run_on_kubeflow(server, tmp_path, capsys):
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    status = to(
        server,
        "--method=l2r",
        "--noise_ratio=0.4",
        "--max_iteration=77",
        f"--token_file={token}",
        "--namespace=team",
        "--run_experiment=mine",
        "--pipeline_root=minio://a/b",
        "--service_account=runner",
        "--profile=gke-a100x8",
        "--checkpoint_root=gs://a/checkpoints",
    )
    assert status == 0
    output = capsys.readouterr()
    assert output.out == f"{server.host}/#/runs/details/r1\n"
    assert TOKEN not in output.err
    headers, body = request(server, "POST", "/runs")
    assert headers["authorization"] == f"Bearer {TOKEN}"
    run = json.loads(body)
    assert run["service_account"] == "runner"
    assert run["runtime_config"]["pipeline_root"] == "minio://a/b"
    parameters = run["runtime_config"]["parameters"]
    assert (parameters["method"], parameters["noise_ratio"]) == ("l2r", 0.4)
    assert parameters["settings"] == {"max_iteration": 77}
    spec = json_format.ParseDict(
        run["pipeline_spec"]["pipeline_spec"], pipeline_spec_pb2.PipelineSpec()
    )
    assert set(parameters) <= set(spec.root.input_definitions.parameters)
    platform = run["pipeline_spec"]["platform_spec"]
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    _, experiment = request(server, "POST", "/experiments")
    assert json.loads(experiment) == {"display_name": "mine", "namespace": "team"}


def test_waiting_follows_the_run(server, capsys):
    assert to(server, "--wait") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["PENDING", "RUNNING", "SUCCEEDED"]
    server.states = ["RUNNING", "FAILED"]
    assert to(server, "--wait") == 1
    assert "error: out of memory" in capsys.readouterr().err
    posts = [r for r in server.requests if r[:2] == ("POST", "/apis/v2beta1/experiments")]
    assert len(posts) == 1  # the second run found the experiment


def test_waiting_continues_when_the_server_is_away_for_a_while(server, monkeypatch):
    server.trouble = {("GET", "/runs/r1"): ["drop", 503, None, 500, "nonsense"]}
    server.states = ["RUNNING", "SUCCEEDED"]
    monkeypatch.setattr(following, "FAILURES", 2)
    assert to(server, "--wait") == 0
    server.trouble = {("GET", "/runs/r1"): [500, 500, 500]}
    with pytest.raises(RemoteError, match="answers 500"):
        to(server, "--wait")


def node(name, state, pod, children=(), error=""):
    """A node of a workflow, as the server has it."""
    detail = {"task_id": f"id-{pod}", "display_name": name, "state": state, "pod_name": f"w-{pod}"}
    if children:
        detail["child_tasks"] = [{"pod_name": f"w-{child}"} for child in children]
    if error:
        status = {"state": state, "error": {"code": 2, "message": error}}
        detail["state_history"] = [status]
    return detail


def workflow(train, error="", executor="RUNNING"):
    """Two tasks, one of them done, as Argo names the nodes of Kubeflow's templates."""
    return [
        node("root", "RUNNING", "1", ["2", "3", "4"]),
        node("root-driver", "SUCCEEDED", "2"),
        node("prepare-dataset", "SUCCEEDED", "3", ["5"]),
        node("executor", "SUCCEEDED", "5", ["6"]),
        node("executor(0)", "SUCCEEDED", "impl-6"),
        node("train(0)", train, "4", ["7"]),
        node("executor", train, "7", ["8"], error),
        node("executor(0)", executor, "impl-8", (), error),
    ]


def test_waiting_shows_the_tasks_and_the_last_lines_of_one_that_fails(server, capsys):
    server.states = ["RUNNING", "RUNNING", "FAILED"]
    failed = workflow("FAILED", "Error (exit code 1)", "FAILED")
    server.tasks = [workflow("RUNNING"), workflow("RUNNING"), failed]
    server.logs["w-impl-8"] = "\n".join(f"line {i}" for i in range(30)) + "\n"
    assert to(server, "--wait") == 1
    output = capsys.readouterr()
    said = [line[9:] for line in output.out.splitlines()[1:]]
    assert said[:3] == ["RUNNING", "prepare dataset: SUCCEEDED", "train: RUNNING"]
    assert "train: FAILED (Error (exit code 1))" in said
    first = said.index("train, attempt 1: FAILED (Error (exit code 1))")
    assert said[first + 1 : first + 11] == [f"  line {i}" for i in range(20, 30)]
    assert len(said) == len(set(said))


def test_waiting_says_where_a_log_is_that_the_server_does_not_pass_on(server, capsys):
    server.states, server.tasks = ["FAILED"], [workflow("FAILED", "Evicted", "FAILED")]
    assert to(server, "--wait", "--namespace=team") == 1
    log = "kubectl logs --namespace=team w-impl-8 --container=main"
    assert log in capsys.readouterr().out


def test_waiting_says_why_a_task_waits(server, capsys, monkeypatch):
    monkeypatch.setattr(following, "PATIENCE", 0.1)
    reason = "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu."
    server.states = ["RUNNING"] * 40 + ["SUCCEEDED"]
    server.tasks = [workflow("PENDING", reason, "PENDING")] * 40
    assert to(server, "--wait") == 0
    said = capsys.readouterr().out
    assert said.count(f"train: waits ({reason})") == 1
    server.states = ["PENDING"] * 40 + ["SUCCEEDED"]
    server.tasks = []
    assert to(server, "--wait") == 0
    assert capsys.readouterr().out.count("no task has started") == 1
    server.states = ["PENDING"] * 40 + ["SUCCEEDED"]
    server.tasks = [workflow("PENDING", executor="PENDING")] * 40
    assert to(server, "--wait", "--namespace=team") == 0
    why = "no reason given; kubectl describe pod --namespace=team w-7"
    assert capsys.readouterr().out.count(why) == 1


def test_waiting_ends_when_its_time_is_over(server):
    server.states = ["RUNNING"] * 10_000
    with pytest.raises(RemoteError, match=r"--wait_minutes=0\.003 have passed; the run continues"):
        to(server, "--wait", "--wait_minutes=0.003")


def test_a_server_that_cannot_be_reached(server, caplog):
    """Nothing was sent, so the server has taken nothing; urllib3 prints nothing."""
    server.shutdown()
    server.server_close()
    with pytest.raises(RemoteError, match=r"does not answer \(NewConnectionError\); nothing was"):
        to(server)
    assert not caplog.records


@pytest.fixture
def authority(tmp_path, server):
    """Certificate of the server's own authority; the server speaks TLS."""
    certificate, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    options += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
    subprocess.run(["openssl", "req", *options], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.host = server.host.replace("http", "https")
    return certificate


def test_a_private_authority(server, authority, monkeypatch, tmp_path):
    with pytest.raises(InputError, match="--ca_file: must have the authority that signed"):
        to(server)
    assert to(server, f"--ca_file={authority}") == 0
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    assert to(server) == 0
    (tmp_path / "no.pem").write_text("no certificate")
    with pytest.raises(InputError, match="--ca_file: must be a PEM file of certificates"):
        to(server, f"--ca_file={tmp_path}/no.pem")
    monkeypatch.setenv("SSL_CERT_FILE", "/none")
    with pytest.raises(InputError, match=r"SSL_CERT_FILE: must be a PEM file.*'/none'"):
        to(server)


def test_upload(server, capsys):
    assert to(server, "--upload", "--pipeline=sweep") == 0
    assert capsys.readouterr().out == f"{server.host}/#/pipelines/details/p1\n"


TROUBLE = [
    (401, InputError, "--token_file: must hold a valid bearer token. Received: '401 Unauthorized"),
    (403, InputError, "--namespace: must be one that this token may use"),
    (404, InputError, "--host: must be the address of Kubeflow Pipelines"),
    (409, InputError, "--pipeline: the server has another one of this name"),
    (500, RemoteError, "answers 500 Internal Server Error: said 500; until that is fixed"),
    (503, RemoteError, "answers 503 Service Unavailable: said 503; try again later"),
    ("nonsense", RemoteError, "answers what its API does not allow"),
    ("drop", RemoteError, "does not answer .*may have been taken"),
    ("slow", RemoteError, "does not answer .*may have been taken"),
]


@pytest.mark.parametrize(("trouble", "error", "said"), TROUBLE)
def test_servers_that_misbehave(server, tmp_path, trouble, error, said):
    token = tmp_path / "token"
    token.write_text(TOKEN)
    server.trouble = {("POST", "/runs"): trouble}
    with pytest.raises(error, match=said) as raised:
        to(server, "--timeout=1", f"--token_file={token}")
    assert TOKEN not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_nothing_is_sent_with_wrong_parameters(server, tmp_path):
    file = tmp_path / "parameters.yaml"
    wrong = {
        "noise_ratios: 0.5": "--parameter: must be one of .*Received: 'noise_ratios'",
        "seed: many": "--seed: must be of type int. Received: 'many'",
        "seed: true": "--seed: must be of type int. Received: True",
        "settings: {max_iter: 5}": "--settings: .* the closest is max_iteration. Received: 'max_it",
        "[seed]": "--parameters: must hold a mapping",
        "{": "--parameters: must be a YAML file",
        f"{{dataset: csv, noise: none, data: {tmp_path}}}": "path: must be where the cluster sees",
    }
    for content, rule in wrong.items():
        file.write_text(content)
        with pytest.raises(InputError, match=rule):
            to(server, f"--parameters={file}")
    with pytest.raises(InputError, match="--token_file: must be readable"):
        to(server, "--token_file=/none")
    assert server.requests == []


def test_parameters_from_a_file(server, tmp_path):
    file = tmp_path / "parameters.yaml"
    file.write_text("seed: 7\nsettings: {max_iteration: 5}")
    assert to(server, f"--parameters={file}") == 0
    parameters = json.loads(request(server, "POST", "/runs")[1])["runtime_config"]["parameters"]
    assert (parameters["seed"], parameters["settings"]) == (7, {"max_iteration": 5})


def test_checkpoints_have_a_place_that_outlives_a_task(server):
    with pytest.raises(InputError, match="--checkpoint_root: must be a gs:// path or"):
        to(server, "--workspace=''")
    with pytest.raises(InputError, match="--checkpoint_root: must not be given beside"):
        to(server, "--checkpoint_root=gs://a/b")
    assert to(server, "--workspace=''", "--checkpoint_root=gs://a/b") == 0
    parameters = json.loads(request(server, "POST", "/runs")[1])["runtime_config"]["parameters"]
    assert parameters["checkpoint_root"] == "gs://a/b"


@pytest.fixture
def vertex(monkeypatch, server):
    """Requests that would leave for Vertex AI."""
    import google.auth
    from google.cloud.aiplatform.utils import gcs_utils
    from google.cloud.aiplatform_v1.services.pipeline_service import PipelineServiceClient
    from google.cloud.aiplatform_v1.types import PipelineJob

    sent = []

    def create(self, parent, pipeline_job, pipeline_job_id, timeout):
        sent.append((parent, pipeline_job, timeout))
        return PipelineJob(pipeline_job, name=f"{parent}/pipelineJobs/{pipeline_job_id}")

    def get(self, name, **options):
        state = server.states.pop(0)
        failed = state == "FAILED"
        error = {"error": {"code": 9, "message": "out of quota"}} if failed else {}
        task = {"task_id": 7, "task_name": "train", "state": "FAILED" if failed else "RUNNING"}
        details = {"task_details": [task | error]}
        return PipelineJob(name=name, state=f"PIPELINE_STATE_{state}", job_detail=details, **error)

    credentials = AnonymousCredentials(), "p"
    monkeypatch.setenv("REGISTRY", "host/team")
    monkeypatch.setattr(google.auth, "default", lambda _: credentials)
    monkeypatch.setattr(PipelineServiceClient, "create_pipeline_job", create)
    monkeypatch.setattr(PipelineServiceClient, "get_pipeline_job", get)
    monkeypatch.setattr(
        gcs_utils, "create_gcs_bucket_for_pipeline_artifacts_if_it_does_not_exist", lambda **_: None
    )
    return sent


ON_VERTEX = ("--target=vertex", "--project=p", "--region=europe-west4", "--pipeline_root=gs://b/r")


def test_a_run_on_vertex(vertex, server, capsys):
    assert submitted(*ON_VERTEX, "--method=l2r", "--wait", "--service_account=a@b") == 0
    ((parent, job, timeout),) = vertex
    assert (parent, timeout) == ("projects/p/locations/europe-west4", 60)
    assert job.service_account == "a@b"
    assert job.runtime_config.gcs_output_directory == "gs://b/r"
    parameters = job.runtime_config.parameter_values
    assert parameters["method"] == "l2r"
    assert parameters["checkpoint_root"] == "gs://b/r/checkpoints"
    assert job.pipeline_spec["pipelineInfo"]["name"] == "training"
    executor = job.pipeline_spec["deploymentSpec"]["executors"]["exec-train"]["container"]
    assert executor["resources"]["accelerator"]["type"] == "NVIDIA_L4"
    lines = capsys.readouterr().out.splitlines()
    assert "europe-west4" in lines[0]
    said = [line[9:] for line in lines[1:]]
    assert said == ["PENDING", "train: RUNNING", "RUNNING", "SUCCEEDED"]
    server.states = ["FAILED"]
    assert submitted(*ON_VERTEX, "--wait") == 1
    output = capsys.readouterr()
    assert "train: FAILED (out of quota)" in output.out
    assert "error: out of quota" in output.err


def test_no_cache_on_vertex_starts_from_no_checkpoint(vertex):
    assert submitted(*ON_VERTEX, "--no_cache") == 0
    root = vertex[0][1].runtime_config.parameter_values["checkpoint_root"]
    assert root.startswith("gs://b/r/checkpoints/20")


def test_vertex_without_registry_or_credentials(monkeypatch, tmp_path):
    with pytest.raises(InputError, match="REGISTRY: must name in the environment"):
        submitted(*ON_VERTEX)
    monkeypatch.setenv("REGISTRY", "host/team")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(InputError, match="credentials: must be there"):
        submitted(*ON_VERTEX)
