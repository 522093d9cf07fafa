"""Each component alone: as a subprocess, in a container, and as a plain function."""

import http.server
import json
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from kfp import dsl, local

import components
from components import images
from pipelines.launch import docker_runner
from tests.conftest import ON_EACH_RUNNER
from tests.trainer.evaluation.test_choice import SCRATCH, draw, shade, stripes
from trainer import artifacts
from trainer.errors import InputError

FEW_STEPS = {"max_iteration": 10, "eval_freq": 10}


@pytest.fixture(params=ON_EACH_RUNNER)
def run(request, tmp_path, tmp_path_factory):
    """A function that runs one component as a task. Returns its outputs by name.

    Its arguments are the component, {input artifact: (class, path)} and parameters.
    """
    if request.param == "docker":
        request.getfixturevalue("engine")
        mounted = {str(tmp_path_factory.getbasetemp())}
        runner = docker_runner.runner([images.TRAINER], mounted)
    else:
        runner = local.SubprocessRunner(use_venv=False)
    root = tmp_path / "root"
    local.init(runner, pipeline_root=str(root), workspace_root=str(tmp_path / "workspace"))

    def run(component, artifacts=None, **parameters):
        @dsl.pipeline(name="alone")
        def pipeline():
            # kfp takes artifacts from an importer only.
            inputs = {
                name: dsl.importer(
                    artifact_uri=str(path), artifact_class=artifact_class, reimport=False
                ).output
                for name, (artifact_class, path) in (artifacts or {}).items()
            }
            component(**inputs, **parameters)

        pipeline()
        (file,) = root.glob(f"*/{component.name}/executor_output.json")
        written = json.loads(file.read_text())["artifacts"]
        return {name: artifacts["artifacts"][0] for name, artifacts in written.items()}

    return run


def test_prepare_dataset(run, digits):
    written = run(components.prepare_dataset, dataset="digits")["prepared_dataset"]
    assert written["metadata"]["source"] == "digits"
    made = artifacts.read(written["uri"], "prepared_dataset")
    assert made["id"] == artifacts.read(digits, "prepared_dataset")["id"]


def test_inject_noise(run, digits, noisy_labels):
    made = run(
        components.inject_noise,
        {"prepared_dataset": (dsl.Dataset, digits)},
        noise="uniform",
        noise_ratio=0.9,
        seed=0,
    )
    assert "ratio 0.9" in Path(made["heat_map"]["uri"]).read_text()
    written = made["noisy_labels"]
    assert written["metadata"]["wrong_labels"] == pytest.approx(0.81, abs=0.02)
    assert artifacts.read(written["uri"], "noisy_labels") == artifacts.read(
        noisy_labels, "noisy_labels"
    )


def test_split_probe(run, digits, probe_split):
    written = run(
        components.split_probe,
        {"prepared_dataset": (dsl.Dataset, digits)},
        per_class=10,
        seed=0,
    )["probe_split"]
    assert written["metadata"]["per_class"] == 10
    assert artifacts.read(written["uri"], "probe_split") == artifacts.read(
        probe_split, "probe_split"
    )


def test_train_and_evaluate(run, digits, noisy_labels, probe_split):
    written = run(
        components.train,
        {
            "prepared_dataset": (dsl.Dataset, digits),
            "noisy_labels": (dsl.Dataset, noisy_labels),
            "probe_split": (dsl.Dataset, probe_split),
        },
        method="l2r",
        seed=5,
        settings=FEW_STEPS,
    )
    assert written["checkpoints"]["metadata"]["method"] == "l2r"
    assert written["model"]["metadata"]["framework"] == "Keras"
    made = artifacts.read(written["checkpoints"]["uri"], "checkpoints")
    assert (made["config"]["seed"], made["config"]["max_iteration"]) == (5, 10)
    artifacts.read(written["model"]["uri"], "model")

    tested = run(
        components.evaluate,
        {
            "prepared_dataset": (dsl.Dataset, digits),
            "checkpoints": (dsl.Artifact, written["checkpoints"]["uri"]),
        },
    )
    metrics = tested["metrics"]
    on_disk = json.loads(Path(metrics["uri"], "metrics.json").read_text())
    assert on_disk == metrics["metadata"]
    assert 0 <= on_disk["test/top1"] <= on_disk["test/top5"] <= 1
    matrix = tested["confusion"]["metadata"]["confusionMatrix"]
    assert [spec["displayName"] for spec in matrix["annotationSpecs"]] == list("0123456789")
    counts = np.array([row["row"] for row in matrix["rows"]])
    assert counts.sum() == 360
    assert np.trace(counts) / 360 == pytest.approx(on_disk["test/top1"])
    assert "| test/top1 " in Path(tested["summary"]["uri"]).read_text()


def test_audit_labels(run, supervised_run, digits, noisy_labels, probe_split):
    made = run(
        components.audit_labels,
        {
            "prepared_dataset": (dsl.Dataset, digits),
            "noisy_labels": (dsl.Dataset, noisy_labels),
            "probe_split": (dsl.Dataset, probe_split),
            "checkpoints": (dsl.Artifact, supervised_run / "checkpoints"),
        },
    )
    assert 0 < made["metrics"]["metadata"]["audit/auroc"] < 1
    artifacts.read(made["label_audit"]["uri"], "label_audit")
    assert len(Path(made["summary"]["uri"]).read_text().splitlines()) == 22


def test_export_model(run, supervised_run, digits, probe_split):
    made = run(
        components.export_model,
        {
            "prepared_dataset": (dsl.Dataset, digits),
            "probe_split": (dsl.Dataset, probe_split),
            "checkpoints": (dsl.Artifact, supervised_run / "checkpoints"),
        },
    )
    model = made["exported_model"]
    assert model["metadata"]["framework"] == "TensorFlow"
    assert model["metadata"]["calibrated_on"] == 100
    assert Path(model["uri"], "saved_model", "saved_model.pb").is_file()
    assert 0 < made["metrics"]["metadata"]["test/ece"] < 1
    assert "| accuracy |" in Path(made["card"]["uri"]).read_text()


def test_write_report(run, hostile_run):
    artifacts = {
        "prepared_dataset": dsl.Dataset,
        "noisy_labels": dsl.Dataset,
        "checkpoints": dsl.Artifact,
        "metrics": dsl.Metrics,
        "label_audit": dsl.Dataset,
        "exported_model": dsl.Model,
    }
    made = run(
        components.write_report,
        {name: (artifact_class, hostile_run / name) for name, artifact_class in artifacts.items()},
    )
    written = Path(made["report"]["uri"]).read_text()
    assert written == (hostile_run / "report.html").read_text()


def test_a_failing_component_fails_its_task(run, digits):
    with pytest.raises(RuntimeError, match="split-probe"):
        run(
            components.split_probe,
            {"prepared_dataset": (dsl.Dataset, digits)},
            per_class=1000,
            seed=0,
        )


def plain(artifact_class, path):
    return artifact_class(name="plain", uri=str(path), metadata={})


def test_the_same_as_plain_functions(tmp_path, digits, noisy_labels, probe_split):
    data = plain(dsl.Dataset, tmp_path / "data")
    components.prepare_dataset.python_func("digits", data)
    assert data.metadata["id"] == artifacts.read(digits, "prepared_dataset")["id"]
    labels = plain(dsl.Dataset, tmp_path / "labels")
    picture = plain(dsl.HTML, tmp_path / "heat_map")
    components.inject_noise.python_func(data, "asymmetric", 0.4, 1, labels, picture)
    assert 0.1 < labels.metadata["wrong_labels"] < 0.3
    split = plain(dsl.Dataset, tmp_path / "split")
    components.split_probe.python_func(data, 3, 1, split)
    assert np.load(tmp_path / "split" / "probe_ids.npy").shape == (30,)
    checkpoints, model = (plain(dsl.Artifact, tmp_path / name) for name in ("ckpt", "model"))
    components.train.python_func(
        data, labels, split, "supervised", 1, FEW_STEPS, checkpoints, model
    )
    metrics = plain(dsl.Metrics, tmp_path / "metrics")
    confusion = plain(dsl.ClassificationMetrics, tmp_path / "confusion")
    markdown = plain(dsl.Markdown, tmp_path / "metrics.md")
    components.evaluate.python_func(data, checkpoints, metrics, confusion, markdown)
    summary, table = plain(dsl.Artifact, tmp_path / "summary"), plain(dsl.Markdown, tmp_path / "t")
    report = plain(dsl.HTML, tmp_path / "report")
    components.compare_runs.python_func([metrics], summary, table, report)
    compared = json.loads((tmp_path / "summary" / "summary.json").read_text())
    (run,) = compared["runs"]
    assert (run["method"], run["noise_ratio"]) == ("supervised", 0.4)
    assert run["test/top1"] == metrics.metadata["test/top1"]
    assert "| supervised" in (tmp_path / "t").read_text()
    assert "<td>supervised</td>" in (tmp_path / "report").read_text()


@pytest.mark.slow
def test_a_run_on_embeddings(run, tmp_path, digits, noisy_labels, probe_split, own_backbone):
    data = {
        "prepared_dataset": (dsl.Dataset, digits),
        "noisy_labels": (dsl.Dataset, noisy_labels),
        "probe_split": (dsl.Dataset, probe_split),
    }
    fetched = run(components.fetch_backbone, name=str(own_backbone))["backbone"]
    assert fetched["metadata"]["embedding_size"] == 12
    made = run(
        components.embed_images,
        {"prepared_dataset": data["prepared_dataset"], "backbone": (dsl.Model, fetched["uri"])},
        settings=FEW_STEPS | {"backbone_views": 3, "ce_factor": 1},
    )["embeddings"]
    assert made["metadata"]["views"] == 3
    data["embeddings"] = (dsl.Dataset, made["uri"])
    written = run(components.train, data, method="ieg", seed=1, settings=FEW_STEPS)
    saved = artifacts.read(written["checkpoints"]["uri"], "checkpoints")
    assert saved["config"]["backbone"] == str(own_backbone)
    assert saved["parents"]["embeddings"] == artifacts.read(made["uri"], "embeddings")["id"]


@pytest.mark.slow
def test_what_follows_a_run_on_embeddings(
    tmp_path, digits, noisy_labels, probe_split, own_backbone
):
    """As plain functions."""
    data, labels, split = (plain(dsl.Dataset, p) for p in (digits, noisy_labels, probe_split))
    backbone, model, exported = (plain(dsl.Model, tmp_path / name) for name in "abc")
    embeddings, checkpoints = (plain(dsl.Dataset, tmp_path / name) for name in "de")
    components.fetch_backbone.python_func(str(own_backbone), backbone)
    components.embed_images.python_func(data, backbone, {}, embeddings)
    arguments = data, labels, split, "robust", 1, FEW_STEPS, checkpoints, model
    components.train.python_func(*arguments, embeddings=embeddings)
    metrics, markdown = plain(dsl.Metrics, tmp_path / "m"), plain(dsl.Markdown, tmp_path / "m.md")
    confusion = plain(dsl.ClassificationMetrics, tmp_path / "confusion")
    tested = data, checkpoints, metrics, confusion, markdown
    components.evaluate.python_func(*tested, embeddings=embeddings)
    assert 0 <= metrics.metadata["test/top1"] <= 1
    with pytest.raises(InputError, match="embeddings: must be of the backbone of the run"):
        components.evaluate.python_func(*tested)
    audit = plain(dsl.Dataset, tmp_path / "audit")
    components.audit_labels.python_func(
        *(data, labels, split, checkpoints, audit, metrics, markdown), embeddings=embeddings
    )
    assert 0 < audit.metadata["audit/auroc"] <= 1
    components.export_model.python_func(
        *(data, split, checkpoints, exported, metrics, markdown),
        backbone=backbone,
        embeddings=embeddings,
    )
    assert "own file own.keras" in (tmp_path / "m.md").read_text()


@pytest.mark.slow
def test_a_fine_tuned_run(tmp_path, digits, noisy_labels, probe_split, own_backbone):
    """As plain functions; kfp gives whole numbers as floats."""
    data, labels, split = (plain(dsl.Dataset, p) for p in (digits, noisy_labels, probe_split))
    backbone, model, tuned_model = (plain(dsl.Model, tmp_path / name) for name in "abc")
    embeddings, head, checkpoints = (plain(dsl.Dataset, tmp_path / name) for name in "def")
    settings = FEW_STEPS | {"finetune": True, "finetune_image_size": 16.0, "finetune_epochs": 1.0}
    settings |= {"val_batch_size": 360.0, "finetune_batch_size": 400.0}
    components.fetch_backbone.python_func(str(own_backbone), backbone, settings=settings)
    components.embed_images.python_func(data, backbone, settings, embeddings)
    arguments = data, labels, split, "robust", 1, settings
    with pytest.raises(InputError, match="--finetune: must be as in the command that compiled"):
        components.train.python_func(*arguments, head, model, embeddings=embeddings)
    components.train.python_func(*arguments, head, model, embeddings=embeddings, finetuning=True)
    components.train.python_func(
        *(*arguments, checkpoints, tuned_model),
        checkpoint_root=str(tmp_path / "root"),
        embeddings=embeddings,
        backbone=backbone,
        head=head,
        finetuning=True,
    )
    made = artifacts.read(tmp_path / "f", "checkpoints")
    assert made["parents"]["checkpoints"] == artifacts.read(tmp_path / "e", "checkpoints")["id"]
    assert (made["config"]["max_iteration"], made["image_shape"]) == (3, [8, 8, 1])
    metrics, markdown = plain(dsl.Metrics, tmp_path / "m"), plain(dsl.Markdown, tmp_path / "m.md")
    confusion = plain(dsl.ClassificationMetrics, tmp_path / "confusion")
    tested = metrics, confusion, markdown
    components.evaluate.python_func(data, checkpoints, *tested, embeddings=embeddings)
    assert 0 <= metrics.metadata["test/top1"] <= 1


def final_status(path, state, error=None):
    """The recorded final status of a run whose backend reports this."""
    status = dsl.PipelineTaskFinalStatus(state, "runs/1", "exit-handler-1", 9, error)
    recorded = plain(dsl.Artifact, path)
    components.record_status.python_func(status, "r1", recorded)
    socket.setdefaulttimeout(None)  # what the component sets is for a process of its own
    written = json.loads(path.read_text())
    assert recorded.metadata == {"state": written["state"], "reported": state}
    return written


def test_the_status_of_a_run_as_each_backend_reports_it(tmp_path, monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    for reported in ("SUCCEEDED", "COMPLETE"):
        written = final_status(tmp_path / "status", reported)
        assert written["state"] == "SUCCEEDED"
        assert "note" not in written
    for reported in ("FAILED", "RUNNING"):
        written = final_status(tmp_path / "status", reported, "out of memory")
        assert (written["state"], written["error"]) == ("FAILED", "out of memory")
        assert written["note"] == "the backend names no failed task"
    assert final_status(tmp_path / "status", "CANCELLED")["state"] == "CANCELED"


class Runs(http.server.BaseHTTPRequestHandler):
    """A server of Kubeflow Pipelines that knows one run."""

    def do_GET(self):
        error = {"code": 2, "message": "exit code 1"}
        train = {"display_name": "train", "state": "FAILED", "error": error}
        details = [{"display_name": "evaluate", "state": "SKIPPED"}, train]
        found = self.path == "/apis/v2beta1/runs/r1"
        run = {"run_id": "r1", "run_details": {"task_details": details}} if found else {}
        body = json.dumps(run).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def test_the_status_names_the_failed_tasks_that_the_server_knows(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Runs) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("KF_PIPELINES_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        written = final_status(tmp_path / "status", "RUNNING")
        assert written["state"] == "FAILED"
        assert written["failed_tasks"] == [{"task": "train", "error": "exit code 1"}]
        assert "note" not in written
        server.shutdown()
    written = final_status(tmp_path / "status", "FAILED")
    assert written["failed_tasks"] == []
    assert "names no failed task; its server does not answer" in written["note"]


def test_artifacts_that_do_not_fit_are_refused(tmp_path, digits, probe_split):
    output = plain(dsl.Artifact, tmp_path / "a")
    with pytest.raises(InputError, match="noisy_labels: must be of kind noisy_labels"):
        components.train.python_func(
            *(plain(dsl.Dataset, path) for path in (digits, probe_split, probe_split)),
            "ieg",
            0,
            {},
            output,
            output,
        )
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", components.__all__)
def test_every_argument_is_described(name):
    """The docstring becomes the description in the compiled pipeline."""
    spec = getattr(components, name).component_spec
    assert spec.description
    for argument in (*(spec.inputs or {}).values(), *(spec.outputs or {}).values()):
        assert argument.description, argument


@pytest.mark.parametrize(
    ("pixels", "side", "runs", "chosen", "network_name"),
    [(shade, 32, 2, "embeddings", "head"), (stripes, 16, 4, "scratch", "convnet")],
)
@pytest.mark.slow
def test_a_run_that_has_the_choice(tmp_path, pixels, side, runs, chosen, network_name):
    """As plain functions; small images of a backbone tell dark from bright, and show no stripes."""
    for seed, (folder, count) in enumerate((("data", 60), ("trusted", 10), ("test", 10))):
        draw(tmp_path / folder, pixels, count, seed)
    paths = {name: str(tmp_path / name) for name in ("data", "trusted", "test")}
    data, labels, split, embeddings = (plain(dsl.Dataset, tmp_path / name) for name in "abcd")
    backbone, model = (plain(dsl.Model, tmp_path / name) for name in "ef")
    made, again, checkpoints = (plain(dsl.Artifact, tmp_path / name) for name in "ghi")
    settings = {"max_iteration": 240.0, "batch_size": 20, "learning_rate": 0.05}
    settings |= SCRATCH | {"backbone_image_size": side}
    components.prepare_dataset.python_func("image_folder", data, **paths)
    page, markdown = plain(dsl.HTML, tmp_path / "p"), plain(dsl.Markdown, tmp_path / "m")
    components.inject_noise.python_func(data, "uniform", 0.2, 0, labels, page)
    components.split_probe.python_func(data, 10, 0, split)
    name = "efficientnet_lite0"
    components.fetch_backbone.python_func(name, backbone, settings=settings)
    components.embed_images.python_func(data, backbone, settings, embeddings)
    arguments = data, labels, split, embeddings
    recipe = "supervised", 1, settings
    with pytest.raises(InputError, match="--backbone: must be auto, as in the command"):
        components.choose_backbone.python_func(*arguments, name, *recipe, made, markdown)
    with pytest.raises(InputError, match="--backbone: must be none, efficientnet_lite0, keras:"):
        components.fetch_backbone.python_func("auto", backbone)  # where nothing is chosen
    root = tmp_path / "root"
    for output in (made, again):  # the second time on another machine
        components.choose_backbone.python_func(
            *(*arguments, "auto", *recipe, output, markdown), checkpoint_root=str(root)
        )
        assert len(list(root.glob(f"*/{artifacts.MANIFEST}"))) == runs
    assert again.metadata["chosen"] == chosen
    assert again.metadata["sentence"] in (tmp_path / "m").read_text()
    rows = [artifacts.read(each.path, "backbone_choice")["rows"] for each in (made, again)]
    assert rows[0] == rows[1]
    components.train.python_func(
        *(data, labels, split, *recipe, checkpoints, model),
        embeddings=embeddings,
        backbone_choice=again,
    )
    run = artifacts.read(checkpoints.path, "checkpoints")
    assert run["config"]["network_name"] == network_name
    assert run["backbone_choice"]["chosen"] == chosen
    metrics = plain(dsl.Metrics, tmp_path / "metrics")
    confusion = plain(dsl.ClassificationMetrics, tmp_path / "confusion")
    components.evaluate.python_func(
        data, checkpoints, metrics, confusion, markdown, embeddings=embeddings
    )
    assert metrics.metadata["test/top1"] > 0.9
