"""Growth of time and memory: of a step with batch, classes and replicas, of data with examples.

python -m benchmarks.growth [--network_name=convnet] [--steps=10] [--examples=10000,100000]

Each number is from its own process. Steps use random images of the shape of CIFAR; the table has
the batch size of one replica, and replicas are logical devices on the same cores. Data are grey
images of 8 x 8 pixels, written as records with noise and probe set, then loaded as for training up
to the first batch of 100.
"""

import json
import statistics
import tempfile
import time

import tensorflow as tf
from absl import app, flags
from tabulate import tabulate

from benchmarks import harness, steps
from trainer.data import input_pipeline
from trainer.methods import METHODS
from trainer.training import configuration, fit

BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["25", "50", "100", "200"], "B, with 10 classes")
CLASS_COUNTS = flags.DEFINE_list("class_counts", ["10", "100", "1000"], "C, with batches of 100")
EXAMPLES = flags.DEFINE_list("examples", ["10000", "100000", "1000000"], "N")
SHOWN = flags.DEFINE_list("methods", ["supervised", "ieg"], "methods")
STEPS = flags.DEFINE_integer("steps", 10, "timed steps of each kind, after two for warm-up")
REPLICAS = flags.DEFINE_integer("replicas", 1, "with --here=step: number of replicas")
HERE = flags.DEFINE_enum(
    "here", None, ["step", "write", "load"], "measure this in this process, and print JSON"
)
METHOD = flags.DEFINE_string("method", None, "with --here: which one")
ROOT = flags.DEFINE_string("root", None, "with --here: where the data are")
SIZE = flags.DEFINE_integer("size", None, "with --here=write: N")
flags.set_default(steps.NETWORK, "convnet")

SHAPE, BATCH, CLASSES, TEST = (8, 8, 1), 100, 10, 100


def replicated_step():
    """As `steps.step_of`, on replicas that all see the same batch."""
    devices = [tf.config.LogicalDeviceConfiguration()] * REPLICAS.value
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, devices)
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(REPLICAS.value)])
    with strategy.scope():
        _, method, batch = steps.step_of(**steps.KINDS[METHOD.value])

    @tf.function
    def step():
        logs = strategy.run(method.train_step, args=(batch,))
        return {name: strategy.reduce("MEAN", value, axis=None) for name, value in logs.items()}

    return step


def measure_step():
    """Median seconds."""
    if REPLICAS.value > 1:
        step = replicated_step()
    else:
        step, *_ = steps.step_of(**steps.KINDS[METHOD.value])
    steps.seconds(step), steps.seconds(step)
    return {"seconds": statistics.median(steps.seconds(step) for _ in range(STEPS.value))}


def measure_writing():
    started = time.perf_counter()
    harness.made_up(ROOT.value, "digits", SHAPE, CLASSES, SIZE.value, TEST)
    return {"seconds": time.perf_counter() - started}


def measure_loading():
    """Seconds of loading, and from then to the first batch."""
    settings = configuration.resolve("digits", method=METHOD.value, batch_size=BATCH)
    started = time.perf_counter()
    data = fit.load_checked(settings, *harness.paths(ROOT.value))
    loaded = time.perf_counter()
    next(iter(input_pipeline.training_batches(data, settings, METHODS[settings.method])))
    return {"load, s": loaded - started, "first batch, s": time.perf_counter() - loaded}


def child(here, **others):
    """What a separate process measures, with its peak memory."""
    return harness.result_of("benchmarks.growth", here=here, **others)


def step_rows():
    """Rows of the table of steps: by batch, by classes, by replicas."""
    sizes = [(int(B), CLASSES, 1) for B in BATCH_SIZES.value]
    sizes += [(BATCH, int(C), 1) for C in CLASS_COUNTS.value]
    sizes += [(BATCH // 2, CLASSES, 2), (BATCH, CLASSES, 2)]
    for B, C, replicas in dict.fromkeys(sizes):
        row = {"batch": B, "classes": C, "replicas": replicas}
        for method in SHOWN.value:
            same = {"network_name": steps.NETWORK.value, "steps": STEPS.value, "method": method}
            found = child("step", batch_size=B, classes=C, replicas=replicas, **same)
            row[f"{method}, s"], row[f"{method}, GB"] = found["seconds"], found["GB"]
        yield row


def data_rows():
    """Rows of the table of data."""
    for size in map(int, EXAMPLES.value):
        with tempfile.TemporaryDirectory() as root:
            written = child("write", root=root, size=size)
            row = {"examples": size, "write, s": written["seconds"], "write, GB": written["GB"]}
            for method in SHOWN.value:
                found = child("load", root=root, method=method)
                row |= {f"{method}: {name}": value for name, value in found.items()}
        yield row


def main(_):
    if HERE.value:
        measured = {"step": measure_step, "write": measure_writing, "load": measure_loading}
        return print(json.dumps(measured[HERE.value]() | {"GB": harness.peak_memory()}))
    print(tabulate(step_rows(), headers="keys", tablefmt="github", floatfmt=".3f"), end="\n\n")
    print(tabulate(data_rows(), headers="keys", tablefmt="github", floatfmt=".2f"))


if __name__ == "__main__":
    app.run(main)
