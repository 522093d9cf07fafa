"""Test accuracy of the methods on photographs with noisy labels, over seeds, and their time.

python -m benchmarks.accuracy --photos=DIR --out=DIR [--rows=supervised,robust] [--labels=worst]
    [--seeds=0,1,2] [trainer flags]

DIR has train_labels.csv, with the columns path, label (the true label), worst and aggre (human
labels), and test/<class>/. Each run is a separate command, which is printed; a finished run in
--out is not repeated. The table has the accuracy of the EMA weights at the last step in %, mean and
standard deviation over the seeds, and the median time in seconds.
"""

import itertools
import json
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

from absl import flags
from tabulate import tabulate

from benchmarks.harness import PAIRS
from trainer import command_line

PHOTOS = flags.DEFINE_string("photos", None, "directory of the photographs", required=True)
OUT = flags.DEFINE_string("out", None, "directory for the runs", required=True)
ROWS = flags.DEFINE_list("rows", [], "rows of the table; all unless given")
LABELS = flags.DEFINE_list("labels", [], "columns of the table; all unless given")
SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "seeds, one run each")

# The learning rates are the best of 0.05, 0.15 and 0.3 on held-out training images: the high one
# for human labels, the low one for 80% uniform noise.
PLAIN = "--method=supervised --learning_rate=0.3"
UNCORRECTED = "--method=robust --noforward_correction"
TABLE = {
    "supervised": PLAIN,
    "supervised at a low learning rate": "--method=supervised",
    "supervised with trusted images and strong views": (
        f"{UNCORRECTED} --rotation_weight=0 --pseudo_label_weight=0 --class_prior_weight=0"
        " --optimizer=momentum --batch_size=100 --learning_rate=0.1 --warmup_epochs=1"
        " --ema_decay=0.999"
    ),
    "supervised in large batches": f"{PLAIN} --batch_size=300 --warmup_epochs=3 --ema_decay=0.99",
    "supervised with Muon": f"{PLAIN} --optimizer=muon",
    "l2r": "--method=l2r",
    "fsr": "--method=fsr",
    "ieg": "--method=ieg",
    "robust": "--method=robust",
    "robust without forward correction": UNCORRECTED,
    "robust without trusted images": "--method=robust --trusted_fraction=0",
    "robust without rotation prediction": "--method=robust --rotation_weight=0",
    "robust without pseudo-labels": "--method=robust --pseudo_label_weight=0",
    "robust without class prior": "--method=robust --class_prior_weight=0",
    "robust with weak views": "--method=robust --strong_fraction=0",
    "robust with momentum": "--method=robust --optimizer=momentum",
    "robust in batches of 100": "--method=robust --batch_size=100 --learning_rate=0.1",
    "robust with a long EMA": "--method=robust --ema_decay=0.999",
}
NOISE = {
    "80% uniform": "--dataset=csv_uniform_0.8",
    "40% uniform": "--dataset=csv_uniform_0.4",
    "40% asymmetric": "--dataset=csv_asymmetric_0.4 --noise_file={out}/map.json",
    "worst": "--dataset=csv --label_column=worst",
    "aggre": "--dataset=csv --label_column=aggre",
}


def run(name, arguments):
    """The last row of the history of a run with these flags, and its time in seconds."""
    place = Path(OUT.value) / name
    checkpoints = place / "checkpoints"
    if not (checkpoints / "manifest.json").is_file():
        photos = Path(PHOTOS.value)
        files = [f"--data={photos}/train_labels.csv", f"--test={photos}/test"]
        command = [sys.executable, "-m", "trainer", *arguments, "--clean_label_column=label"]
        command += [*files, f"--checkpoint_path={place}"]
        print(shlex.join(command), file=sys.stderr)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    history = json.loads((checkpoints / "history.json").read_text())
    return history[-1], json.loads((checkpoints / "manifest.json").read_text())["seconds"]


def cell(row, labels, rest):
    """Accuracy over the seeds in %, mean and standard deviation, and the median time in seconds."""
    arguments = [*TABLE[row].split(), *NOISE[labels].format(out=OUT.value).split(), *rest]
    runs = [run(f"{row}, {labels}, {seed}", [*arguments, f"--seed={seed}"]) for seed in SEEDS.value]
    top1, seconds = [100 * last["test/top1"] for last, _ in runs], [s for _, s in runs]
    spread = f" ± {statistics.stdev(top1):.1f}" if len(top1) > 1 else ""
    return f"{statistics.mean(top1):.1f}{spread}", statistics.median(seconds)


def main(_):
    rest = [f"--{name}={value}" for name, value in command_line.given_training().items()]
    Path(OUT.value).mkdir(parents=True, exist_ok=True)
    (Path(OUT.value) / "map.json").write_text(json.dumps(PAIRS))
    rows, columns = ROWS.value or list(TABLE), LABELS.value or list(NOISE)
    found = {key: cell(*key, rest) for key in itertools.product(rows, columns)}
    table = []
    for row in rows:
        accuracies, seconds = zip(*(found[row, labels] for labels in columns))
        table.append([row, *accuracies, round(statistics.median(seconds))])
    print(tabulate(table, ["", *columns, "s"], tablefmt="github"))


if __name__ == "__main__":
    command_line.run(main, __doc__, {"Benchmark": ["*photos", "*out", "rows", "labels", "seeds"]})
