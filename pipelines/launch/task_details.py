"""State of the tasks of a run, in the same form for each target."""

import re
from dataclasses import dataclass

POD = "executor"  # name that Kubeflow gives to the node that runs a task's container


@dataclass(frozen=True)
class Task:
    """A task, or a part of it.

    Attributes:
      id: Id in the backend.
      name: Name of the task in the pipeline, such as train.
      state: State, such as PENDING, RUNNING, SUCCEEDED, SKIPPED or FAILED.
      reason: Why it waits or has failed, if the backend reports it.
      pod: Name of its pod on Kubeflow.
      part: Part of the task, driver or attempt 2; empty for the whole task.
    """

    id: str
    name: str
    state: str
    reason: str = ""
    pod: str = ""
    part: str = ""


def of_kubeflow(details):
    """The tasks among the nodes of a workflow, which are drivers, loops and attempts as well.

    Args:
      details: `kfp_server_api.V2beta1PipelineTaskDetail` of all nodes.

    Returns:
      A list of `Task`: those with a container of their own, and drivers that failed or wait.
    """
    parents = {
        node_hash(child.pod_name or child.task_id): detail
        for detail in details
        for child in detail.child_tasks or ()
    }
    return [
        Task(detail.task_id, name, detail.state, reason(detail), detail.pod_name or "", part)
        for detail in details
        for name, part in [name_and_part(detail, parents)]
        if name
    ]


def node_hash(name):
    """The last part of a node's id, which is also the last part of its pod's name."""
    return (name or "").rpartition("-")[2]


def name_and_part(detail, parents):
    """Name of the task that a node belongs to, and which part of the task it is.

    The name is empty for nodes that are not shown.
    """
    name, attempt = split_attempt(detail.display_name)
    if name != POD:
        task = name.removesuffix("-driver")
        told = detail.state == "FAILED" or reason(detail) or task == name
        shown = task if told and not detail.child_tasks else ""
        return shown, "" if task == name else "driver"
    if attempt == 0 and detail.state != "FAILED":
        return "", ""
    ancestor = detail
    while ancestor and name == POD:
        ancestor = parents.get(node_hash(ancestor.pod_name or ancestor.task_id))
        name = split_attempt(ancestor.display_name)[0] if ancestor else detail.display_name
    return name, "" if attempt is None else f"attempt {attempt + 1}"


def split_attempt(display_name):
    """Name and number of an attempt, such as executor(1); None where there is no number."""
    name, number = re.fullmatch(r"(.*?)(?:\((\d+)\))?", display_name or "").groups()
    return name, None if number is None else int(number)


def reason(detail):
    """The newest error that a node has."""
    statuses = [detail, *reversed(detail.state_history or ())]
    return next((s.error.message for s in statuses if s.error and s.error.message), "")


def of_vertex(details):
    """The tasks of a job.

    Args:
      details: `google.cloud.aiplatform_v1.types.PipelineTaskDetail` of all tasks.
    """
    return [
        Task(str(detail.task_id), detail.task_name, detail.state.name, detail.error.message)
        for detail in details
    ]
