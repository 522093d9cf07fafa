"""The report of a sweep: compares methods, noise ratios and seeds."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from trainer import artifacts
from trainer.data.noise.transition import normalised_rows
from trainer.evaluation import comparison
from trainer.report import charts, page

METHOD = ["noise_ratio", "method"]
RUN = ("method", "noise_ratio", "seed")  # the columns that come first


def write(metrics_paths, file):
    """Writes the report.

    Args:
      metrics_paths: Directories of metrics, one per run.
      file: The HTML file to write.
    """
    manifests = [artifacts.read(path, artifacts.METRICS) for path in metrics_paths]
    runs, setups = (
        read_json_files(metrics_paths, "metrics.json"),
        read_json_files(metrics_paths, "config.json"),
    )
    summary = comparison.collect_runs(runs)
    settings = [setup["config"] for setup in setups]
    common = {k: v for k, v in settings[0].items() if all(s.get(k) == v for s in settings)}
    history = histories(runs, read_json_files(metrics_paths, "history.json"))
    names = manifests[0]["class_names"]
    page.write_page(
        file,
        "sweep.html.jinja",
        title=f"{summary['dataset']}, {summary['noise']} noise",
        sentence=sentence(pd.DataFrame(runs)),
        rows=comparison.table_rows(summary),
        curves=accuracy_over_noise(history) | accuracy_over_steps(history),
        confusion=confusion_of_best(runs, metrics_paths, names),
        large=len(names) > charts.MANY,
        runs=[{name: run[name] for name in RUN} | run for run in summary["runs"]],
        facts={
            "Data": {name: summary[name] for name in comparison.SHARED},
            "Settings of all runs": common,
            "Versions": setups[0]["versions"],
        },
    )


def read_json_files(paths, name):
    """The content of a JSON file in each directory."""
    return [json.loads((Path(path) / name).read_text()) for path in paths]


def histories(runs, rows):
    """All histories in one table, by noise ratio, method and seed."""
    keys = [(run["noise_ratio"], run["method"], run["seed"]) for run in runs]
    tables = [pd.DataFrame(history) for history in rows]
    return pd.concat(tables, keys=keys, names=[*METHOD, "seed"])


def confusion_of_best(runs, metrics_paths, names):
    """Confusion matrix of the best method at the highest noise ratio, over all seeds."""
    table = pd.DataFrame(runs)
    table = table[table.noise_ratio == table.noise_ratio.max()]
    best = table.groupby("method")["test/top1"].mean().idxmax()
    rows = table.index[table.method == best]
    counts = sum(np.load(Path(metrics_paths[i]) / "confusion.npy") for i in rows)
    axes = {"across": "predicted label", "down": "test label"}
    return {f"{best}, the best": charts.heat_map(normalised_rows(counts), names, **axes)}


def sentence(runs):
    """The result at the highest noise ratio, in words."""
    noise_ratio = runs.noise_ratio.max()
    accuracy = runs[runs.noise_ratio == noise_ratio].groupby("method")["test/top1"].mean()
    said = (f"{method} {a:.1%}" for method, a in accuracy.sort_values(ascending=False).items())
    return f"Test accuracy at noise ratio {noise_ratio:g}: {', '.join(said)}."


def accuracy_over_noise(history):
    """Accuracy at the last step over the noise ratio, where there are several."""
    last = history["test/top1"].groupby([*METHOD, "seed"]).last()
    found = last.groupby(METHOD).agg(["mean", "std"]).fillna(0)
    if found.index.unique("noise_ratio").size == 1:
        return {}
    series = {
        method: (part.index.get_level_values("noise_ratio"), part["mean"], part["std"])
        for method, part in found.groupby("method")
    }
    return {"Accuracy over noise": charts.line_chart(series, "noise ratio", "test accuracy")}


def accuracy_over_steps(history):
    """Accuracy over the steps, a chart for each noise ratio."""
    found = history.groupby([*METHOD, "step"])["test/top1"].agg(["mean", "std"]).fillna(0)
    pictures = {}
    for noise_ratio, at_ratio in found.groupby("noise_ratio"):
        series = {
            method: (part.index.get_level_values("step"), part["mean"], part["std"])
            for method, part in at_ratio.groupby("method")
        }
        caption = f"Accuracy over steps, noise ratio {noise_ratio:g}"
        pictures[caption] = charts.line_chart(series, "step", "test accuracy", salt=caption)
    return pictures
