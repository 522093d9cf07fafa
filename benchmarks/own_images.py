"""Own images with wrong labels: each method on embeddings, logistic regression and cleanlab.

python -m benchmarks.own_images DATA.csv --test=DIR --out=DIR --label_column=worst
    --clean_label_column=label [--noise=worst,uniform_0.8,asymmetric_0.4] [--images=10000,1000,200]
    [--seeds=3] [--methods=robust,supervised,l2r,fsr,ieg] [--finetune] [trainer flags]

DATA.csv has the columns path, the true label and noisy ones. The images are embedded once. A seed
draws the subset of the images, the trusted ones, the added noise and the training. Each row is
printed as JSON, and added to rows.jsonl in --out, as soon as it is measured; one that is there is
not measured again. Last comes the table in %, mean and standard deviation over the seeds.
"""

import dataclasses
import itertools
import json
import os
import shutil
import time
from pathlib import Path

import keras
import pandas as pd
from absl import flags
from tabulate import tabulate
from threadpoolctl import threadpool_limits

from benchmarks import logistic_regression, own_images_data
from trainer import artifacts, backbones, command_line, local_run, outputs
from trainer.data import request
from trainer.errors import InputError
from trainer.methods import METHODS
from trainer.settings.fields import check_choice, check_range
from trainer.settings.training import FinetuningSettings
from trainer.training import configuration

OUT = flags.DEFINE_string("out", None, "directory for rows, data and runs", required=True)
IMAGES = flags.DEFINE_list("images", [], "numbers of training images; all of them unless given")
SEEDS = flags.DEFINE_integer("seeds", 3, "number of seeds, which are 0, 1, ...")
NOISE = flags.DEFINE_list(
    "noise",
    [],
    "columns of noisy labels, or <noise>_<ratio> added to the true labels; --label_column,"
    " uniform_0.8 and asymmetric_0.4 unless given",
)
CHOSEN = flags.DEFINE_list("methods", list(METHODS), "methods that train on embeddings")
OF_DATA = ("test", "probe_per_class", "label_column", "clean_label_column", "noise_file")
SET_HERE = ("data", "method", "seed", "audit_fold")
KEY = ["images", "noise", "row"]
COLUMNS = {  # of the table, by the name in rows.jsonl
    "accuracy": "test accuracy",
    "auroc": "AUROC",
    "average_precision": "AP",
    "labels_right": "labels right",
    "noise_rate_estimated": "estimated noise rate",
    "noise_rate": "noise rate",
}
OF_AUDIT = list(COLUMNS)[1:]


def main(arguments):
    if len(arguments) != 1:
        raise InputError("arguments", "must be one table of images and labels", arguments)
    files, trainings = read_data_flags(arguments[0]), read_trainings()
    noises = NOISE.value or [files.label_column, "uniform_0.8", "asymmetric_0.4"]
    out = Path(OUT.value).absolute()
    record_run(out, files)
    data = own_images_data.Data(out / "data", files)
    data.check(noises, IMAGES.value)
    rows = Rows(out / "rows.jsonl")
    sizes = [int(size) for size in IMAGES.value] or [data.size]
    for size, seed, noise in itertools.product(sizes, range(SEEDS.value), noises):
        key = {"images": size, "noise": noise, "seed": seed}
        place = out / "runs" / "-".join(map(str, key.values()))
        measure(rows, key, trainings, data, place)
    print(rows.table())


def read_data_flags(table):
    """The `trainer.settings.data.DataSettings` of the command line."""
    given = command_line.given_data()
    for name, value in (given | command_line.given_training()).items():
        if name in SET_HERE or (name in given and name not in OF_DATA):
            raise InputError(f"--{name}", "is not for this benchmark", value)
    for name in ("test", "clean_label_column"):
        if not given.get(name):
            raise InputError(f"--{name}", "must be given", given.get(name))
    check_range("seeds", SEEDS.value, 1)
    given["test"] = os.path.abspath(given["test"])
    files = request.resolve("csv", data=os.path.abspath(table), **given)
    check_range("probe_per_class", files.probe_per_class, 2)  # the baseline chooses C by folds
    return files


def read_trainings():
    """{row: settings}, of each method on embeddings and of fine-tuning, from the command line."""
    given = {"backbone": "efficientnet_lite0"} | command_line.given_training()
    if given["backbone"] == backbones.NONE:
        raise InputError("--backbone", "must be a pretrained network", backbones.NONE)
    for method in CHOSEN.value:
        check_choice("methods", method, tuple(METHODS))
    configuration.check_scope(given, CHOSEN.value)
    of_finetuning = {field.name for field in dataclasses.fields(FinetuningSettings)}
    of_head = {name: value for name, value in given.items() if name not in of_finetuning}
    found = {}
    for method in CHOSEN.value:
        own = configuration.those_of(method, of_head) | {"method": method}
        found[method] = configuration.resolve("csv", **own)
    if given.get("finetune"):
        own = configuration.those_of("robust", given) | {"method": "robust"}
        chosen = [f" {k}={v}" for k, v in given.items() if k in of_finetuning - {"finetune"}]
        found["robust, fine-tuned" + "".join(chosen)] = configuration.resolve("csv", **own)
    return found


def record_run(out, files):
    """Makes `out` the directory of these data and training flags; InputError if of others."""
    outputs.hold(out, "--out")
    run = dataclasses.asdict(files) | command_line.given_training()
    free = [field.name for field in dataclasses.fields(FinetuningSettings)]
    run = {name: value for name, value in run.items() if name not in free}
    outputs.check_same_run("--out", out, "run.json", run)
    artifacts.write_json(out / "run.json", run)


def measure(rows, key, trainings, data, place):
    """Adds the rows that are missing of one number of images, noise and seed."""
    wanted = [row for row in trainings if not rows.has(**key, row=row)]
    baseline = not rows.has(**key, row=logistic_regression.ROWS[-1])
    if not wanted and not baseline:
        return
    for row in wanted:
        config = dataclasses.replace(trainings[row], seed=key["seed"])
        root = place / row.replace(", ", "-").replace(" ", "-")
        shutil.rmtree(root, ignore_errors=True)  # a resumed run would seem faster
        data.linked(root, config, **key)
        started = time.perf_counter()
        found = trained(root, config, data.files)
        rows.add(**key, row=row, **found, seconds=time.perf_counter() - started)
        keras.utils.clear_session()
    if baseline:
        config = dataclasses.replace(next(iter(trainings.values())), seed=key["seed"])
        root = data.linked(place / "baselines", config, **key)
        with threadpool_limits(1):  # on busy cores two are up to 30 times slower
            for row, found in logistic_regression.rows(root, key["seed"]):
                if not rows.has(**key, row=row):
                    rows.add(**key, row=row, **found)


def trained(root, config, files):
    """Trains, tests and, if it is the method of the audit, audits a run as the product does."""
    local_run.train_run(root, root, config)
    found = {"accuracy": local_run.evaluate(root, files)["test/top1"]}
    if config.method == "robust":
        audit = local_run.audit(root, config.audit_folds)
        found |= {name: audit[f"audit/{name}"] for name in OF_AUDIT if f"audit/{name}" in audit}
    return found


class Rows:
    """The rows of results, on disk as soon as they are measured.

    Args:
      file: JSON lines; it may be missing.
    """

    def __init__(self, file):
        self.file = file
        lines = file.read_text().splitlines() if file.is_file() else []
        self.found = [json.loads(line) for line in lines]

    def has(self, **key):
        return any(key.items() <= row.items() for row in self.found)

    def add(self, **row):
        self.found.append(row)
        print(line := json.dumps(row), flush=True)
        with open(self.file, "a") as file:
            file.write(f"{line}\n")

    def table(self):
        """Markdown: mean and standard deviation over the seeds of each row."""
        found = pd.DataFrame(self.found).reindex(columns=[*KEY, *COLUMNS, "seconds"])
        found[list(COLUMNS)] *= 100
        groups = found.groupby(KEY, sort=False)
        mean, deviation = groups.mean(), groups.std()
        spread = deviation.map(" ± {:.1f}".format).where(deviation.notna(), "")
        cells = (mean.map("{:.1f}".format) + spread).where(mean.notna(), "")
        cells = cells.rename(columns=COLUMNS | {"seconds": "s"}).reset_index()
        return tabulate(cells, "keys", "github", showindex=False, disable_numparse=True)


if __name__ == "__main__":
    names = ["*out", "images", "seeds", "noise", "methods"]
    command_line.run(main, __doc__, {"Benchmark": names})
