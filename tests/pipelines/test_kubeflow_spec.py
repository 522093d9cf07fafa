"""Every pipeline for Kubeflow, read as its backend reads it, holds to what a cluster accepts."""

import re

import pytest
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from pipelines.launch import profiles
from tests.pipelines import golden

KUBEFLOW = [name for name, fields in profiles.NAMED.items() if fields["target"] == "kubeflow"]
TRAINS = re.compile("exec-(train|evaluate|audit-labels|export-model)")
HOUR = 3600
UNITS = {"": 1, "m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def quantity(text):
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", text).groups()
    return float(number) * UNITS[unit]


@pytest.fixture(scope="module", params=[(n, p) for n in golden.PIPELINES for p in KUBEFLOW])
def backend(request):
    """Profile, tasks by name, containers and pods by executor, and settings of the whole run."""
    name, profile_name = request.param
    profile = profiles.resolve("kubeflow", profile_name)
    spec, platform = golden.compiled(name, profile)
    pipeline = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    deployment = json_format.ParseDict(
        json_format.MessageToDict(pipeline.deployment_spec),
        pipeline_spec_pb2.PipelineDeploymentConfig(),
    )
    message = json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    kubernetes = json_format.MessageToDict(message)["platforms"]["kubernetes"]
    pods = {
        name: json_format.ParseDict(pod, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
        for name, pod in kubernetes["deploymentSpec"]["executors"].items()
    }
    dags = [pipeline.root.dag, *(c.dag for c in pipeline.components.values() if c.dag.tasks)]
    labels = {name: component.executor_label for name, component in pipeline.components.items()}
    tasks = [
        (labels[task.component_ref.name], task)
        for dag in dags
        for task in dag.tasks.values()
        if labels[task.component_ref.name]
    ]
    containers = {name: e.container for name, e in deployment.executors.items()}
    return profile, tasks, containers, pods, kubernetes["pipelineConfig"]


def test_the_claim_has_access_modes(backend):
    profile, _, _, _, run = backend
    if not profile.workspace:
        assert "workspace" not in run
        return
    mode = "ReadWriteMany" if profile.workers > 1 else "ReadWriteOnce"
    patch = run["workspace"]["kubernetes"]["pvcSpecPatch"]
    assert patch["accessModes"] == [mode]
    assert patch.get("storageClassName", "") == profile.storage_class
    assert run["workspace"]["size"] == profile.workspace


def test_the_claim_of_a_failed_run_is_not_kept_for_a_week(backend):
    *_, run = backend
    assert int(run["resourceTtlOnFailure"]) == 24 * HOUR
    assert int(run["resourceTtlOnCompletion"]) == 168 * HOUR


def test_every_task_has_a_deadline_and_retries_that_fit_it(backend):
    """Argo counts the maximum duration of retries from the start of the first try."""
    profile, tasks, _, pods, _ = backend
    for label, task in tasks:
        deadline = pods[label].active_deadline_seconds
        hours = profile.timeout_hours if TRAINS.match(label) else profile.data_timeout_hours
        assert deadline == hours * HOUR
        retry = task.retry_policy
        assert retry.max_retry_count == profile.retries == 3
        breaks = sum(60 * 2**attempt for attempt in range(3))
        assert retry.backoff_duration.seconds == 60
        assert retry.backoff_max_duration.seconds == deadline * 4 + breaks


def test_nothing_is_set_that_the_server_sets_itself(backend):
    """It gives each task a security context, which wins; images run as a numeric user."""
    for pod in backend[3].values():
        assert not pod.HasField("security_context")


def test_resources_are_those_of_the_profile(backend):
    profile, tasks, containers, _, _ = backend
    for label, _ in tasks:
        resources = containers[label].resources
        data_step = not TRAINS.match(label)
        cpu = profile.data_cpu if data_step else profile.cpu
        assert quantity(resources.resource_cpu_limit) <= quantity(cpu)
        assert quantity(resources.resource_cpu_request) <= quantity(resources.resource_cpu_limit)
        memory, limit = resources.resource_memory_request, resources.resource_memory_limit
        assert quantity(memory) <= quantity(limit)
        if not profile.cpu_request:
            assert resources.resource_cpu_request == resources.resource_cpu_limit
            assert memory == limit
        if data_step:
            assert not resources.accelerator.resource_type


@pytest.mark.parametrize("name", ["kind-cpu", "kind-gpu-fake"])
def test_all_tasks_at_a_time_fit_a_node_of_two_cpus(name):
    """Two runs of a sweep, each with two data steps; Kubeflow itself needs about one CPU."""
    profile = profiles.resolve("kubeflow", name)
    at_a_time = 2 * profile.parallelism
    assert at_a_time * quantity(profile.cpu_request) <= 1
    assert at_a_time * quantity(profile.memory_request) <= 4 * 2**30


def test_a_fake_gpu_places_training_and_nothing_else():
    spec, platform = golden.compiled("training", profiles.resolve("kubeflow", "kind-gpu-fake"))
    executors = spec["deploymentSpec"]["executors"]
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    train, prepare = executors["exec-train"]["container"], executors["exec-prepare-dataset"]
    assert train["resources"]["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert "ieg-pipeline/trainer:" in train["image"]
    assert pods["exec-train"]["nodeSelector"]["labels"] == {
        "run.ai/simulated-gpu-node-pool": "default"
    }
    assert "accelerator" not in prepare["container"]["resources"]
    assert "nodeSelector" not in pods["exec-prepare-dataset"]
