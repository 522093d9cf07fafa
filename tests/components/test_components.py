"""Each component through kfp's subprocess runner, and as a plain function."""

import json
from pathlib import Path

import numpy as np
import pytest
from kfp import dsl, local

import components
from trainer import manifest
from trainer.errors import InputError

FEW_STEPS = {"max_iteration": 10, "eval_freq": 10}


@pytest.fixture(autouse=True)
def subprocess_runner(tmp_path):
    local.init(
        local.SubprocessRunner(use_venv=False),
        pipeline_root=str(tmp_path / "root"),
        workspace_root=str(tmp_path / "workspace"),
    )


def run(component, artifacts=None, **parameters):
    """Runs one component as a task: kfp takes artifacts from an importer only.

    Args:
      component: The component.
      artifacts: {input name: (artifact class, path)}.
      **parameters: Of the component.

    Returns:
      {output name: artifact}, read back from what the task left.
    """

    @dsl.pipeline(name="alone")
    def pipeline():
        inputs = {
            name: dsl.importer(
                artifact_uri=str(path), artifact_class=artifact_class, reimport=False
            ).output
            for name, (artifact_class, path) in (artifacts or {}).items()
        }
        component(**inputs, **parameters)

    task = pipeline()
    assert task.state.name in ("SUCCEEDED", "FINAL"), task.state
    return task


def outputs(tmp_path, component):
    """What executor_output.json of the only task of this name says."""
    (file,) = (tmp_path / "root").glob(f"*/{component.name}/executor_output.json")
    written = json.loads(file.read_text())["artifacts"]
    return {name: artifacts["artifacts"][0] for name, artifacts in written.items()}


def test_prepare_dataset(tmp_path, digits):
    run(components.prepare_dataset, dataset="digits")
    written = outputs(tmp_path, components.prepare_dataset)["prepared_dataset"]
    assert written["metadata"]["source"] == "digits"
    made = manifest.read(written["uri"], "prepared_dataset")
    assert made["id"] == manifest.read(digits, "prepared_dataset")["id"]


def test_inject_noise(tmp_path, digits, noisy_labels):
    run(
        components.inject_noise,
        {"prepared_dataset": (dsl.Dataset, digits)},
        noise="uniform",
        noise_ratio=0.9,
        seed=0,
    )
    made = outputs(tmp_path, components.inject_noise)
    assert "ratio 0.9" in Path(made["heat_map"]["uri"]).read_text()
    written = made["noisy_labels"]
    assert written["metadata"]["wrong_labels"] == pytest.approx(0.81, abs=0.02)
    assert manifest.read(written["uri"], "noisy_labels") == manifest.read(
        noisy_labels, "noisy_labels"
    )


def test_split_probe(tmp_path, digits, probe_split):
    run(
        components.split_probe,
        {"prepared_dataset": (dsl.Dataset, digits)},
        per_class=10,
        seed=0,
    )
    written = outputs(tmp_path, components.split_probe)["probe_split"]
    assert written["metadata"]["per_class"] == 10
    assert manifest.read(written["uri"], "probe_split") == manifest.read(probe_split, "probe_split")


def test_train_and_evaluate(tmp_path, digits, noisy_labels, probe_split):
    run(
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
    written = outputs(tmp_path, components.train)
    assert written["checkpoints"]["metadata"]["method"] == "l2r"
    assert written["model"]["metadata"]["framework"] == "Keras"
    made = manifest.read(written["checkpoints"]["uri"], "checkpoints")
    assert (made["config"]["seed"], made["config"]["max_iteration"]) == (5, 10)
    manifest.read(written["model"]["uri"], "model")

    run(
        components.evaluate,
        {
            "prepared_dataset": (dsl.Dataset, digits),
            "checkpoints": (dsl.Artifact, written["checkpoints"]["uri"]),
        },
    )
    metrics = outputs(tmp_path, components.evaluate)["metrics"]
    on_disk = json.loads(Path(metrics["uri"], "metrics.json").read_text())
    assert on_disk == metrics["metadata"]
    assert 0 <= on_disk["test/top1"] <= on_disk["test/top5"] <= 1


def test_a_failing_component_fails_its_task(digits):
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
    assert data.metadata["id"] == manifest.read(digits, "prepared_dataset")["id"]
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
    components.evaluate.python_func(data, checkpoints, metrics)
    summary, table = plain(dsl.Artifact, tmp_path / "summary"), plain(dsl.Markdown, tmp_path / "t")
    components.compare_runs.python_func([metrics], summary, table)
    compared = json.loads((tmp_path / "summary" / "summary.json").read_text())
    (run,) = compared["runs"]
    assert (run["method"], run["noise_ratio"]) == ("supervised", 0.4)
    assert run["test/top1"] == metrics.metadata["test/top1"]
    assert "| supervised" in (tmp_path / "t").read_text()


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
