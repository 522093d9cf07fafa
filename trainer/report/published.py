"""A run beside the published result of the same experiment."""

import re

from trainer.settings.experiments import EXPERIMENTS
from trainer.settings.training import TrainSettings

BUDGET = {"max_iteration": "steps", "batch_size": "images per step"}


def published_result(run, metrics):
    """A sentence that compares this run with the published result; "" if there is none.

    An experiment is the same if dataset, noise, noise ratio, method and network are the same.

    Args:
      run: The manifest of its checkpoints.
      metrics: The content of metrics.json.
    """
    for experiment in EXPERIMENTS.values():
        flags = dict(re.findall(r"--(\w+)=(\S+)", experiment.flags))
        if experiment.published and identity(run) == identity_of_flags(flags):
            paper, top1 = experiment.paper, metrics["test/top1"]
            said = f"Published test accuracy, {paper}: {experiment.published:.1f}%; this run:"
            return f"{said} {top1:.1%}{budget_difference(run, flags)}."
    return ""


def identity(run):
    noise = "" if run["noise"] == "none" else f"_{run['noise']}_{run['noise_ratio']:g}"
    return f"{run['dataset']}{noise}", run["method"], run["config"]["network_name"]


def identity_of_flags(flags):
    return flags["dataset"], flags["method"], flags["network_name"]


def budget_difference(run, flags):
    """A note on how the budget of the run differs from the experiment's; "" if it does not."""
    differences = []
    for name, unit in BUDGET.items():
        published = int(flags.get(name, getattr(TrainSettings(), name)))
        if run["config"][name] != published:
            differences.append(f"{run['config'][name]:,} {unit}, not {published:,}")
    return f" with another budget ({'; '.join(differences)})" if differences else ""
