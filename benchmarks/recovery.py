"""Whether long training recovers from noisy labels: curves of ieg and of supervised training.

python -m benchmarks.recovery --data=DIR/train_labels.csv --test=DIR/test --out=DIR
    [--ratios=0.4,0.8] [--methods=ieg,supervised] [--seconds=540] [trainer flags]

Each run is a command, `python -m trainer`, on a table of true labels (column label) to which
uniform noise is added, with the settings of the release and resnet29. All train at once and share
the GPU, if there is one. After --seconds they are interrupted; the same command resumes them. The
table has the test accuracy in % of the EMA weights, at the last test in each tenth of the steps;
curves.csv in --out has every test.
"""

import dataclasses
import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
from absl import flags
from tabulate import tabulate

from trainer import command_line
from trainer.methods import METHODS
from trainer.settings.recipes import OWN_IMAGES
from trainer.training import configuration

OUT = flags.DEFINE_string("out", None, "directory for the runs", required=True)
RATIOS = flags.DEFINE_list("ratios", ["0.4", "0.8"], "ratios of uniform noise")
CHOSEN = flags.DEFINE_list("methods", ["ieg", "supervised"], "methods")
SECONDS = flags.DEFINE_float("seconds", 540, "after which the runs are interrupted")
STEPS, TENTHS = 20_000, 10
INTERRUPTED = 130  # status


def settings_of(method, ratio):
    """The flags of a run; those given to this benchmark replace the settings of the release."""
    given = configuration.those_of(method, command_line.given_training())
    released = dataclasses.asdict(METHODS[method].Settings())
    settings = {name: released[name] for name in OWN_IMAGES if name in released}
    settings |= {"network_name": "resnet29", "max_iteration": STEPS}
    settings |= {"clean_label_column": "label"} | command_line.given_data() | given
    return settings | {"dataset": f"csv_uniform_{ratio}", "method": method}


def start(name, settings):
    """The process of a run; what it says is in a file beside its directory."""
    place = f"{OUT.value}/{name}"
    arguments = [f"--{key}={value}" for key, value in settings.items()]
    command = [sys.executable, "-m", "trainer", *arguments, f"--checkpoint_path={place}"]
    print(shlex.join(command), file=sys.stderr)
    with open(f"{place}.log", "w") as log:
        growing = os.environ | {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        return subprocess.Popen(command, stdout=log, stderr=log, env=growing)


def finish(processes, deadline):
    """Waits for the runs; interrupts those that have not ended by then."""
    for process in processes.values():
        try:
            process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
    for name, process in processes.items():
        if process.wait() not in (0, INTERRUPTED):
            lines = Path(f"{OUT.value}/{name}.log").read_text().strip().splitlines()
            sys.exit(f"{name}: {lines[-1] if lines else process.returncode}")


def curve(name):
    """A row for each test of a run so far."""
    file = Path(OUT.value, name, "checkpoints", "history.json")
    found = json.loads(file.read_text()) if file.is_file() else []
    return [{"run": name} | row for row in found]


def table(curves, last):
    """Test accuracy by run at the last test of each tenth of the steps."""
    tenth = (curves.step * TENTHS - 1) // last
    rows = curves.assign(tenth=tenth).groupby(["tenth", "run"]).last().reset_index()
    wide = rows.pivot(index="tenth", columns="run", values="test/top1")
    steps = rows.groupby("tenth").step.max()
    return wide.mul(100).round(1).set_index(steps)


def main(_):
    Path(OUT.value).mkdir(parents=True, exist_ok=True)
    runs = {
        f"{method}, uniform {ratio}": settings_of(method, ratio)
        for ratio, method in itertools.product(RATIOS.value, CHOSEN.value)
    }
    deadline = time.monotonic() + SECONDS.value
    finish({name: start(name, settings) for name, settings in runs.items()}, deadline)
    curves = pd.DataFrame([row for name in runs for row in curve(name)])
    if curves.empty:
        sys.exit("no run has come to its first test")
    curves.to_csv(f"{OUT.value}/curves.csv", index=False)
    last = max(settings["max_iteration"] for settings in runs.values())
    print(tabulate(table(curves, last), "keys", "github"))


if __name__ == "__main__":
    command_line.run(main, __doc__, {"Benchmark": ["*out", "*ratios", "methods", "seconds"]})
