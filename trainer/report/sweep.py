"""The report of a sweep: methods, noise ratios and seeds side by side."""

import json
from pathlib import Path

import pandas as pd

from trainer import comparison
from trainer.report import charts, page

METHOD = ["noise_ratio", "method"]


def write(metrics_paths, file):
    """Writes the report.

    Args:
      metrics_paths: Directories of metrics, one per run.
      file: The HTML file to write.
    """
    runs = [json.loads((Path(path) / "metrics.json").read_text()) for path in metrics_paths]
    histories = {
        (run["noise_ratio"], run["method"], run["seed"]): pd.DataFrame(
            json.loads((Path(path) / "history.json").read_text())
        )
        for run, path in zip(runs, metrics_paths)
    }
    history = pd.concat(histories, names=[*METHOD, "seed"])
    summary = comparison.collect(runs)
    page.write(
        file,
        "sweep.html.jinja",
        title=f"{summary['dataset']}, {summary['noise']} noise",
        sentence=sentence(pd.DataFrame(runs)),
        rows=comparison.rows(summary),
        pictures=over_noise(history) | over_steps(history),
        runs=summary["runs"],
        shared={name: summary[name] for name in comparison.SHARED},
    )


def sentence(runs):
    """The result at the highest noise ratio, in words."""
    noise_ratio = runs.noise_ratio.max()
    accuracy = runs[runs.noise_ratio == noise_ratio].groupby("method")["test/top1"].mean()
    said = (f"{method} {a:.1%}" for method, a in accuracy.sort_values(ascending=False).items())
    return f"Test accuracy at noise ratio {noise_ratio:g}: {', '.join(said)}."


def over_noise(history):
    """Accuracy at the last step over the noise ratio, where there are several."""
    last = history["test/top1"].groupby([*METHOD, "seed"]).last()
    found = last.groupby(METHOD).agg(["mean", "std"]).fillna(0)
    if found.index.unique("noise_ratio").size == 1:
        return {}
    series = {
        method: (part.index.get_level_values("noise_ratio"), part["mean"], part["std"])
        for method, part in found.groupby("method")
    }
    return {"Accuracy over noise": charts.lines(series, "noise ratio", "test accuracy")}


def over_steps(history):
    """Accuracy over the steps, a picture for each noise ratio."""
    found = history.groupby([*METHOD, "step"])["test/top1"].agg(["mean", "std"]).fillna(0)
    pictures = {}
    for noise_ratio, at_ratio in found.groupby("noise_ratio"):
        series = {
            method: (part.index.get_level_values("step"), part["mean"], part["std"])
            for method, part in at_ratio.groupby("method")
        }
        caption = f"Accuracy over steps, noise ratio {noise_ratio:g}"
        pictures[caption] = charts.lines(series, "step", "test accuracy", salt=caption)
    return pictures
