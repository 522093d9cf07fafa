"""Places each task of a pipeline by its profile: resources, pools, retries, caching."""

import json
import re

from google.protobuf import json_format
from kfp import components, dsl, kubernetes

from components import images

SPOT = {"cloud.google.com/gke-spot": "true"}
HOUR = 3600


def pipeline_config(profile):
    """Settings of the whole run for Kubeflow; None elsewhere."""
    if profile.target != "kubeflow":
        return None
    config = dsl.PipelineConfig(
        ttl_seconds_after_finished=profile.ttl_hours * HOUR,
        ttl_seconds_after_failure=profile.failed_ttl_hours * HOUR,
    )
    if profile.workspace:
        patch = {"accessModes": ["ReadWriteMany" if profile.workers > 1 else "ReadWriteOnce"]}
        if profile.storage_class:
            patch["storageClassName"] = profile.storage_class
        config.workspace = dsl.WorkspaceConfig(
            profile.workspace, dsl.KubernetesWorkspaceConfig(pvcSpecPatch=patch)
        )
    return config


def on_cpu(task, profile, display_name=""):
    """A data step: never on an accelerator."""
    show(task, display_name)
    if profile.target != "local":
        limited(task, profile, profile.data_cpu, profile.data_memory)
        retried(task, profile, profile.data_timeout_hours)
    if profile.target == "kubeflow":
        kubernetes.set_timeout(task, profile.data_timeout_hours * HOUR)
    return task.set_caching_options(profile.cache)


def on_pool(task, profile, accelerators, display_name=""):
    """Training or evaluation: on a machine of the profile, or on a part of one."""
    if accelerators and not profile.cpu_image:
        task.set_container_image(images.TRAINER_GPU)
    if profile.target != "local":
        parts = max(profile.accelerators, 1) // max(accelerators, 1)
        limited(task, profile, part(profile.cpu, parts), part(profile.memory, parts))
        if accelerators:
            task.set_accelerator_type(profile.accelerator)
            task.set_accelerator_limit(accelerators)
    if profile.target == "kubeflow":
        on_nodes(task, profile)
    return of_training(task, profile, display_name)


def of_training(task, profile, display_name=""):
    """Training or evaluation: retries and caching, wherever it runs."""
    show(task, display_name)
    retried(task, profile, profile.timeout_hours)
    return task.set_caching_options(profile.cache_training)


def show(task, display_name=""):
    """Sets the display name of a task; unless given that of its component, such as audit labels."""
    task.set_display_name(display_name or re.sub(r"-\d+$", "", task.name).replace("-", " "))


def on_nodes(task, profile):
    """Places a task on the pool of a Kubernetes cluster, with /dev/shm in memory."""
    kubernetes.set_timeout(task, profile.timeout_hours * HOUR)
    for label, value in (profile.node_selector | (SPOT if profile.spot else {})).items():
        kubernetes.add_node_selector(task, label, value)
    taints = profile.tolerations.copy()
    if profile.accelerators:
        taints.append({"key": profile.accelerator, "operator": "Exists", "effect": "NoSchedule"})
    if profile.spot:
        taints += [{"key": k, "value": v, "effect": "NoSchedule"} for k, v in SPOT.items()]
    for taint in taints:
        kubernetes.add_toleration(task, **taint)
    if profile.shared_memory:
        kubernetes.empty_dir_mount(
            task, "shm", "/dev/shm", medium="Memory", size_limit=profile.shared_memory
        )


def limited(task, profile, cpu, memory):
    """Sets limits, if there are any, and requests: equal to them unless the profile has less."""
    if cpu:
        task.set_cpu_request(profile.cpu_request or cpu).set_cpu_limit(cpu)
    if memory:
        task.set_memory_request(profile.memory_request or memory).set_memory_limit(memory)


def part(quantity, parts):
    """A Kubernetes quantity divided, such as 85G of 680G in 8 parts."""
    if not quantity:
        return ""
    number = re.match(r"[\d.]+", quantity)[0]
    return f"{float(number) / parts:g}{quantity[len(number) :]}"


def retried(task, profile, timeout_hours):
    """Retries a task that failed, each time after twice as long.

    Argo counts the maximum duration of the backoff from the start of the first try, so it has to
    cover all tries; Vertex AI allows an hour.
    """
    if not profile.retries:
        return
    longest = HOUR
    if profile.target == "kubeflow":
        breaks = profile.backoff * (2**profile.retries - 1)
        longest = timeout_hours * HOUR * (profile.retries + 1) + breaks
    task.set_retry(profile.retries, f"{profile.backoff}s", 2.0, f"{longest}s")


def as_custom_job(component, profile):
    """The component as a custom job of Vertex AI: its worker pools get TF_CONFIG."""
    from google_cloud_pipeline_components.v1.custom_job import (
        create_custom_training_job_from_component,
    )

    if profile.accelerators:
        spec = json.dumps(json_format.MessageToDict(component.pipeline_spec))
        spec = spec.replace(images.TRAINER, images.TRAINER_GPU)
        component = components.load_component_from_text(spec)
    return create_custom_training_job_from_component(
        component,
        replica_count=profile.workers,
        machine_type=profile.machine_type,
        accelerator_type=profile.accelerator if profile.accelerators else "",
        accelerator_count=profile.accelerators,
        strategy="SPOT" if profile.spot else "STANDARD",
        timeout=f"{profile.timeout_hours * HOUR}s",
        restart_job_on_worker_restart=True,
    )
