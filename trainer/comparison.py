"""Several runs on the same data, side by side.

<summary>/
  summary.json     {"dataset", "noise", "noise_ratio", "wrong_labels", "probe_per_class",
                    "seed", "methods": {method: {"test/top1", ..., "seconds"}}}
  manifest.json
"""

import json
from pathlib import Path

from tabulate import tabulate

from trainer import manifest
from trainer.config import METHODS

SHARED = ("dataset", "noise", "noise_ratio", "wrong_labels", "probe_per_class", "seed")


def compare(metrics_paths, output_path):
    """Writes the summary of runs that differ in the method only.

    Args:
      metrics_paths: Directories of metrics, one per run.
      output_path: Directory to write.

    Returns:
      The content of summary.json.
    """
    manifests = [manifest.read(path, manifest.METRICS) for path in metrics_paths]
    runs = [json.loads((Path(path) / "metrics.json").read_text()) for path in metrics_paths]
    summary = collect(runs)
    directory = manifest.start(output_path)
    manifest.write_json(directory / "summary.json", summary)
    parents = {run["method"]: parent for run, parent in zip(runs, manifests, strict=True)}
    manifest.finish(directory, manifest.SUMMARY, parents)
    return summary


def collect(runs):
    """The content of summary.json from that of metrics.json of each run."""
    summary = {name: runs[0][name] for name in SHARED}
    summary["methods"] = {
        run["method"]: {k: v for k, v in run.items() if k not in (*SHARED, "method")}
        for run in sorted(runs, key=lambda run: METHODS.index(run["method"]))
    }
    return summary


def table(summary, style="simple"):
    """A table of the runs: a row a method, in `style` of the tabulate package."""
    rows = [
        {
            "method": method,
            "wrong labels, %": f"{100 * summary['wrong_labels']:.1f}",
            "test top-1, %": f"{100 * metrics['test/top1']:.1f}",
            "raw weights, %": f"{100 * metrics['test/top1_raw']:.1f}",
            "seconds": f"{metrics['seconds']:.0f}",
        }
        for method, metrics in summary["methods"].items()
    ]
    return tabulate(rows, headers="keys", tablefmt=style, disable_numparse=True)
