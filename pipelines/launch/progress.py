"""Counts the tasks of a run, from the compiled pipeline and its parameters."""

import json

from kfp.local.orchestrator.enhanced_dag_orchestrator import ConditionEvaluator

CHANNEL = "pipelinechannel--"


class Parameters:
    """Parameters by their internal name in a pipeline, which kfp's conditions use."""

    def __init__(self, values):
        self.values = values

    def get_parent_input(self, name):
        return self.values[name.removeprefix(CHANNEL)]


def number_of_tasks(spec, parameters):
    """Counts the tasks that run.

    Args:
      spec: The compiled pipeline, as a dictionary.
      parameters: Values by name; defaults for all others.
    """
    definitions = spec["root"]["inputDefinitions"]["parameters"]
    values = {name: each.get("defaultValue") for name, each in definitions.items()} | parameters
    return count(spec, spec["root"], values)


def count(spec, component, values):
    if "dag" not in component:
        return 1
    return sum(
        times(task, values) * count(spec, spec["components"][task["componentRef"]["name"]], values)
        for task in component["dag"]["tasks"].values()
    )


def times(task, values):
    """How often a task runs: never if its condition is false, once for each item in a loop."""
    condition = task.get("triggerPolicy", {}).get("condition")
    if condition:
        return int(ConditionEvaluator.evaluate_condition(condition, Parameters(values)))
    if "parameterIterator" not in task:
        return 1
    items = task["parameterIterator"]["items"]
    if "raw" in items:
        return len(json.loads(items["raw"]))
    items = values.get(items["inputParameter"].removeprefix(CHANNEL))
    return len(items) if isinstance(items, list) else int(values["audit_folds"])  # of number_folds
