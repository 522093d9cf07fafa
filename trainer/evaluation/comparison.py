"""Several runs on the same images, side by side.

<summary>/
  summary.json     {"dataset", "noise", "probe_per_class",
                    "runs": [{"method", "noise_ratio", "seed", "wrong_labels", "test/top1", ...}]}
  manifest.json
"""

import itertools
import json
import statistics
from pathlib import Path

from tabulate import tabulate

from trainer import artifacts
from trainer.methods import METHODS

SHARED = ("dataset", "noise", "probe_per_class")
SHARES = {
    "wrong labels, %": "wrong_labels",
    "test top-1, %": "test/top1",
    "raw weights, %": "test/top1_raw",
    "ImageNet top-1, %": "imagenet/top1",
}


def compare(metrics_paths, output_path):
    """Writes the summary of runs that differ in method, noise ratio or seed.

    Args:
      metrics_paths: Directories of metrics, one per run.
      output_path: Directory to write.

    Returns:
      The content of summary.json.
    """
    manifests = [artifacts.read(path, artifacts.METRICS) for path in metrics_paths]
    runs = [json.loads((Path(path) / "metrics.json").read_text()) for path in metrics_paths]
    summary = collect_runs(runs)
    parents = {
        "{method}_{noise_ratio}_{seed}".format(**run): parent
        for run, parent in zip(runs, manifests, strict=True)
    }
    with artifacts.writing(output_path) as directory:
        artifacts.write_json(directory / "summary.json", summary)
        artifacts.finish(directory, artifacts.SUMMARY, parents)
    return summary


def collect_runs(runs):
    """The content of summary.json, from the content of each run's metrics.json."""
    return {name: runs[0][name] for name in SHARED} | {
        "runs": sorted(
            ({k: v for k, v in run.items() if k not in SHARED} for run in runs),
            key=lambda run: (*setting_of(run), run["seed"]),
        )
    }


def setting_of(run):
    return run["noise_ratio"], list(METHODS).index(run["method"])


def table(summary, style="simple"):
    """The rows of a summary in `style` of the tabulate package."""
    return tabulate(table_rows(summary), headers="keys", tablefmt=style, disable_numparse=True)


def table_rows(summary):
    """A row for each noise ratio and method, over seeds: dictionaries of text.

    Where no noise is added a ratio would read as if all labels were right.
    """
    rows = []
    for _, group in itertools.groupby(summary["runs"], setting_of):
        runs = list(group)
        row = {"method": runs[0]["method"]}
        if summary["noise"] != "none":
            row["noise ratio"] = runs[0]["noise_ratio"]
        row |= {title: percent(runs, name) for title, name in SHARES.items() if name in runs[0]}
        row["seconds"] = f"{statistics.mean(run['seconds'] for run in runs):.0f}"
        rows.append(row)
    return rows


def percent(runs, name):
    """Mean and standard deviation of a fraction over runs, in %, of the runs that have it."""
    shares = [100 * run[name] for run in runs if run[name] is not None]
    if not shares:
        return "unknown"
    deviation = f" ± {statistics.stdev(shares):.1f}" if len(shares) > 1 else ""
    return f"{statistics.mean(shares):.1f}{deviation}"
