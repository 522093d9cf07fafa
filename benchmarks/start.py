"""Seconds until the first training step is done, and of other parts of a run beside training.

python -m benchmarks.start [--runs=3] [--network_name=resnet29]

Each start is a separate process that trains on 1,000 random images of the shape of CIFAR. Its parts
are medians and need not sum up to the median of the whole. The second step is the floor of the
first: the same work without tracing and set-up. Uniform noise and the probe set are for as many
labels as ImageNet has. The overhead of kfp is that of a chain of tasks that do nothing, minus the
start of Python. Commands are counted in CPU seconds, which other work on the machine changes less
than seconds; the floor is their imports alone. The floor of an evaluation is its number of
operations at the speed of a matrix product.
"""

import contextlib
import functools
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags, logging
from tabulate import tabulate

from benchmarks import harness
from trainer import artifacts, quick
from trainer.networks import NETWORKS
from trainer.training import configuration

RUNS = flags.DEFINE_integer("runs", 3, "repetitions of each measurement")
NETWORK = flags.DEFINE_enum("network_name", "resnet29", NETWORKS, "network")
METHODS = flags.DEFINE_list("methods", ["supervised", "ieg"], "methods to start")
TEST_IMAGES = flags.DEFINE_integer("test_images", 2000, "images to evaluate")
LABELS = flags.DEFINE_integer("labels", 1_280_000, "labels to inject noise into")
CLASSES = flags.DEFINE_integer("classes", 1000, "their classes")
TASKS = flags.DEFINE_integer("tasks", 5, "tasks of the pipeline")
ROOT = flags.DEFINE_string("root", None, "directory of the artifacts, with --here")
HERE = flags.DEFINE_string(
    "here", None, "measure the start of this method, or evaluate, in this process; print JSON"
)
STARTED = flags.DEFINE_float("started", 0, "time at which this process was started, with --here")

SECOND = "the second step"
SHAPE, CLASSES_OF_IMAGES, TRAIN = (32, 32, 3), 10, 1000


def start():
    """Trains until the second step is done, prints both kinds of seconds of each part and ends."""

    def now():
        return time.time(), time.process_time()

    quick.command()  # as `python -m trainer` does
    marks = {"": (STARTED.value, 0), "Python": now()}
    import tensorflow  # noqa: F401, to see how long it takes

    marks["TensorFlow"] = now()
    import keras

    from trainer.training import fit

    marks["other imports"] = now()

    class FirstStep(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            marks["data pipeline and network"] = now()

        def on_train_batch_end(self, batch, logs=None):
            assert all(np.isfinite(float(value)) for value in logs.values())
            first = "tracing and first step"
            marks[SECOND if first in marks else first] = now()
            if SECOND not in marks:
                return
            seconds = np.diff(list(marks.values()), axis=0).tolist()
            print(json.dumps(dict(zip(list(marks)[1:], seconds))), flush=True)
            os._exit(0)

    settings = configuration.resolve("cifar10", method=HERE.value, network_name=NETWORK.value)
    outputs = Path(tempfile.mkdtemp(dir=ROOT.value))
    paths = *harness.paths(ROOT.value), outputs / "checkpoints", outputs / "model"
    fit.train(settings, *paths, callbacks=[FirstStep()])


def starts(root):
    """A row for each part of a start, with seconds and CPU seconds of each method."""
    taken = {method: [] for method in METHODS.value}
    for _ in range(RUNS.value):
        for method, rows in taken.items():
            parts = child(root, method, started=time.time())
            second = parts.pop(SECOND)
            rows.append(parts | {"in all": np.sum(list(parts.values()), axis=0), SECOND: second})
    for part in next(iter(taken.values()))[0]:
        columns = {"part of a start": part}
        for method, rows in taken.items():
            names = f"{method}, seconds", f"{method}, CPU"
            columns |= zip(names, np.median([row[part] for row in rows], axis=0))
        yield columns


def child(root, here, **others):
    return harness.result_of(
        "benchmarks.start",
        root=root,
        here=here,
        runs=RUNS.value,
        network_name=NETWORK.value,
        **others,
    )


def evaluate():
    """Seconds of the first evaluation, and the median of later ones in the same process."""
    from trainer.data import views
    from trainer.training import fit

    data, *_ = harness.paths(ROOT.value)
    settings = configuration.resolve("cifar10", method="supervised", network_name=NETWORK.value)
    facts = artifacts.read(data, artifacts.PREPARED_DATASET) | {"num_examples": TRAIN}
    method = fit.build_method(settings, facts)
    batches = views.test_batches(data, settings, settings.val_batch_size)
    run = functools.partial(method.evaluate, batches, return_dict=True, verbose=0)
    first, *later = (seconds(run) for _ in range(RUNS.value + 1))
    operations = 2 * TEST_IMAGES.value * operations_of_an_image(method.network)
    of = f"test of {TEST_IMAGES.value} images"
    return {
        f"first {of}": first,
        f"later {of}": statistics.median(later),
        f"the {operations / 1e9:.0f} GFLOP of it in a multiplication": operations / multiply_rate(),
    }


def operations_of_an_image(network):
    """Floating point operations of a forward pass, as TensorFlow counts them."""
    import tensorflow as tf

    one = tf.TensorSpec([1, *SHAPE])
    graph = tf.function(lambda image: network(image, training=False)).get_concrete_function(one)
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return tf.compat.v1.profiler.profile(graph.graph, options=options).total_float_ops


def multiply_rate(n=2048):
    """Floating point operations per second in products of matrices."""
    import tensorflow as tf

    a = tf.random.normal([n, n])
    return 2 * n**3 / median(lambda: tf.matmul(a, a).numpy())


def commands(root):
    """CPU seconds of whole commands, and of the imports alone that they need."""
    trainer, pipelines = ("-m", "trainer"), ("-m", "pipelines", "run")
    digits = ("--dataset=digits_uniform_0.9", "--method=ieg", "--max_iteration=1")
    imports = "from trainer import quick; quick.command()"
    imports += "; import tensorflow, keras, tensorflow_datasets, sklearn.datasets"
    for number in range(RUNS.value):
        run = f"{root}/digits{number}", f"{root}/demo{number}"
        yield {
            "floor of what follows: NumPy and flags": ("-c", "import numpy, absl.flags"),
            "trainer --help": (*trainer, "--help"),
            "trainer, wrong flag": (*trainer, "--none=1"),
            "trainer, wrong path": (*trainer, "--data=/none"),
            "pipelines --help": (*pipelines, "--help"),
            "pipelines run, wrong path": (*pipelines, "--data=/none"),
            "floor of one step: imports": ("-c", imports),
            "one step of ieg on digits": (*trainer, *digits, f"--checkpoint_path={run[0]}"),
            "demo": (*pipelines, "--pipeline=sweep", f"--output_dir={run[1]}"),
        }


def cpu_seconds(root):
    """A row for each of `commands`: medians of user and system time, and of seconds."""
    taken = {}
    for chosen in commands(root):
        for name, arguments in chosen.items():
            before, started = os.times(), time.perf_counter()
            subprocess.run([sys.executable, *arguments], capture_output=True)
            after, wall = os.times(), time.perf_counter() - started
            cpu = sum(after[2:4]) - sum(before[2:4])  # of children that have ended
            taken.setdefault(name, []).append((cpu, wall))
    for name, both in taken.items():
        cpu, wall = (statistics.median(each) for each in zip(*both))
        yield {"command": name, "CPU seconds": cpu, "seconds": wall}


def seconds(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def median(function):
    return statistics.median(seconds(function) for _ in range(RUNS.value))


def labels(root):
    """Seconds of injecting noise and of drawing the probe set; there are no images."""
    from trainer.data import probe
    from trainer.data.noise import injection

    data, noisy_labels, split = harness.paths(root)
    C, rng = CLASSES.value, np.random.default_rng(0)
    directory = artifacts.start(data)
    np.save(directory / "train_labels.npy", rng.integers(C, size=LABELS.value).astype(np.int32))
    facts = {"class_names": [str(c) for c in range(C)], "num_examples": {"train": LABELS.value}}
    artifacts.finish(directory, artifacts.PREPARED_DATASET, labels_are_clean=True, **facts)
    of = f"{LABELS.value:,} labels of {C} classes"
    yield f"noise in {of}", median(lambda: injection.inject(data, noisy_labels, "uniform", 0.8, 0))
    yield f"probe of {of}", median(lambda: probe.split(data, split, per_class=10, seed=0))


def kfp_tasks(root):
    """Seconds of a task of a pipeline, of starting Python, and the difference."""
    from kfp import dsl, local

    from components import images

    @dsl.component(base_image=images.TRAINER, install_kfp_package=False)
    def count(number: int) -> int:
        return number + 1

    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=root)

    @dsl.pipeline(name="tasks")
    def tasks():
        number = 0
        for _ in range(TASKS.value):
            number = count(number=number).output

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        task = median(tasks) / TASKS.value
    python = median(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
    yield "task of a pipeline", task
    yield "python -c pass", python
    yield "what kfp adds to a task", task - python


def compare(root):
    images, names = root / "images", ("cifar10", SHAPE, CLASSES_OF_IMAGES)
    harness.made_up(images, *names, TRAIN, TEST_IMAGES.value)
    print(tabulate(starts(images), headers="keys", tablefmt="github", floatfmt=".2f"))
    print()
    print(tabulate(cpu_seconds(root), headers="keys", tablefmt="github", floatfmt=".2f"))
    tested = child(images, "evaluate")
    rows = [*tested.items(), *labels(root / "labels"), *kfp_tasks(str(root / "kfp"))]
    print()
    print(tabulate(rows, headers=("what", "seconds"), tablefmt="github", floatfmt=".3f"))


def main(_):
    if HERE.value == "evaluate":
        print(json.dumps(evaluate()))
    elif HERE.value:
        start()
    else:
        logging.set_verbosity(logging.WARNING)  # kfp says much about what goes well
        with tempfile.TemporaryDirectory() as root:
            compare(Path(root))


if __name__ == "__main__":
    app.run(main)
