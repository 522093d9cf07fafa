"""Profiles: the target of a pipeline, and the pool of machines that it trains on.

profiles.yaml has the named profiles.
"""

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from trainer.errors import InputError
from trainer.settings.fields import check_choice, check_range

TARGETS = ("local", "kubeflow", "vertex")
DEFAULTS = {"local": "local", "kubeflow": "kubeflow-gpu", "vertex": "vertex-l4x1"}
NAMED = yaml.safe_load(Path(__file__).with_name("profiles.yaml").read_text())
QUANTITY = re.compile(r"\d+(\.\d+)?([KMGTPE]i?|m)?")
QUANTITIES = (
    *("cpu", "memory", "data_cpu", "data_memory", "cpu_request", "memory_request"),
    *("shared_memory", "workspace"),
)
AT_LEAST_ONE = (
    *("timeout_hours", "data_timeout_hours", "ttl_hours", "failed_ttl_hours"),
    *("worker_minutes", "parallelism"),
)


def setting(default, help):
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Profile:
    """What the tasks of a pipeline may use; sizes are Kubernetes quantities, such as 16Gi."""

    target: str = setting("local", f"one of {', '.join(TARGETS)}")
    accelerators: int = setting(0, "accelerators of each worker; 0 trains on CPUs")
    accelerator: str = setting(
        "nvidia.com/gpu", "accelerator: its resource name on Kubeflow, its type on Vertex AI"
    )
    workers: int = setting(1, "machines that train one network together")
    worker_minutes: int = setting(60, "Kubeflow: minutes for which a worker waits for the others")
    cpu: str = setting("", "CPUs of training and evaluation")
    memory: str = setting("", "memory of training and evaluation")
    data_cpu: str = setting("2", "CPUs of each data step")
    data_memory: str = setting("4Gi", "memory of each data step")
    cpu_request: str = setting("", "Kubeflow: CPU request of a task, if lower than its limit")
    memory_request: str = setting("", "Kubeflow: memory request of a task, if lower than its limit")
    shared_memory: str = setting("", "Kubeflow: size of /dev/shm, which NCCL and TensorFlow share")
    cpu_image: bool = setting(
        False, "train in the CPU image although there are accelerators: they are fake"
    )
    node_selector: dict = field(
        default_factory=dict,
        metadata={"help": "Kubeflow: labels of the pool that training runs on"},
    )
    tolerations: list = field(
        default_factory=list, metadata={"help": "Kubeflow: further taints that training tolerates"}
    )
    spot: bool = setting(False, "train on spot machines, which may be preempted")
    workspace: str = setting(
        "",
        "Kubeflow: size of a volume for the run's checkpoints; else --checkpoint_root has them",
    )
    storage_class: str = setting(
        "", "Kubeflow: storage class of the workspace, if not the cluster's default"
    )
    machine_type: str = setting(
        "", "Vertex AI: machine type; spot machines and several workers need it"
    )
    register_model: str = setting(
        "", "Vertex AI: name in the Model Registry that the exported model gets"
    )
    serving_image: str = setting(
        "us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest",
        "Vertex AI: image that serves the registered model",
    )
    retries: int = setting(3, "retries of a task that failed")
    backoff: int = setting(60, "seconds before the first retry; then twice as long each time")
    timeout_hours: int = setting(168, "hours that training, evaluation or audit may take")
    data_timeout_hours: int = setting(24, "Kubeflow: hours that a data step may take")
    ttl_hours: int = setting(168, "Kubeflow: hours after which a finished run leaves the cluster")
    failed_ttl_hours: int = setting(
        24, "Kubeflow: hours after which a failed run leaves the cluster, with its volume"
    )
    parallelism: int = setting(2, "runs of a sweep at a time")
    cache: bool = setting(True, "reuse what data steps made of the same inputs in an earlier run")
    cache_training: bool = setting(False, "reuse training and evaluation as well")

    def __post_init__(self):
        check_choice("target", self.target, TARGETS)
        if self.cache_training and not self.cache:
            raise InputError("--cache_training", "must not be given with --no_cache", True)
        for name, low in (("accelerators", 0), ("workers", 1), ("retries", 0), ("backoff", 0)):
            check_range(name, getattr(self, name), low)
        for name in AT_LEAST_ONE:
            check_range(name, getattr(self, name), 1)
        for name in QUANTITIES:
            value = getattr(self, name)
            if value and not QUANTITY.fullmatch(value):
                raise InputError(f"--{name}", "must be a quantity such as 4, 500m or 16Gi", value)
        if self.register_model and self.target != "vertex":
            raise InputError("--register_model", "is for --target=vertex", self.target)
        if self.workers > 1:
            self.check_workers()
        if self.target == "vertex" and self.custom_job and not self.machine_type:
            raise InputError("--machine_type", "must be given for spot or several workers", "")
        if self.target == "vertex" and self.accelerators and "/" in self.accelerator:
            rule = "must be a type of Vertex AI, such as NVIDIA_L4"
            raise InputError("--accelerator", rule, self.accelerator)

    def check_workers(self):
        if self.target == "local":
            rule = "must be 1 on this machine; several join by TF_CONFIG, see docs/running.md"
            raise InputError("--workers", rule, self.workers)
        if self.target == "kubeflow" and not (self.workspace and self.storage_class):
            rule = "must be given with --workspace for several workers: one that all can write to"
            raise InputError("--storage_class", rule, self.storage_class)

    @property
    def custom_job(self):
        """Whether training on Vertex AI has to be a custom job rather than a plain task."""
        return self.workers > 1 or self.spot


FIELDS = {each.name: each for each in dataclasses.fields(Profile)}


def resolve(target, name, **given):
    """A profile by name or from a file, with other values of some fields.

    Args:
      target: Target that the profile must have, local, kubeflow or vertex; "" for any.
      name: Name in profiles.yaml, or path of a YAML file.
      **given: Values by the name of the field.

    Raises:
      InputError: There is no such profile, or a field has a wrong value.
    """
    if target:
        check_choice("target", target, TARGETS)
    values = NAMED[name] if name in NAMED else read(name)
    found = Profile(**{field: checked(field, value) for field, value in (values | given).items()})
    if target and found.target != target:
        raise InputError("--profile", f"must be for --target={target}", f"{name}, {found.target}")
    return found


def read(name):
    """The fields in a profile file."""
    try:
        values = yaml.safe_load(Path(name).read_text())
    except (OSError, ValueError, yaml.YAMLError):
        rule = f"must be one of {', '.join(NAMED)}, or a YAML file"
        raise InputError("--profile", rule, name) from None
    if not isinstance(values, dict):
        raise InputError("--profile", "must hold a mapping such as {target: kubeflow}", values)
    return values


def checked(name, value):
    """The value of a field, if it is of its type."""
    check_choice("profile field", name, tuple(FIELDS))
    kind = FIELDS[name].type
    if kind is str and type(value) in (int, float):
        value = str(value)
    if type(value) is not kind:
        raise InputError(f"--{name}", f"must be of type {kind.__name__}", value)
    return value
