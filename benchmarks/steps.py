"""Time and memory of training steps, as ratios to a supervised step and beside a floor.

python -m benchmarks.steps [--network_name=resnet29] [--rounds=20] [--batch_size=100] [--check]
    [--kind=ieg --kind=robust] [--mixed_precision=bfloat16] [--jit_compile]

Steps of all kinds take turns in one process. The floor of a step is the least that it has to
compute, in forward passes of one batch (F): a backward pass costs two, and so does a forward-mode
product that uses stored activations. Peak memory is that of a process which takes three steps of
one method, or of its tensors on a GPU. With --check the exit status is 1 if a ratio or the memory
is far above the figures of benchmarks/README.md for resnet29 and batches of 100.
"""

import statistics
import subprocess
import sys
import time
from functools import partial

import numpy as np
import tensorflow as tf
from absl import app, flags
from tabulate import tabulate

from benchmarks import harness
from trainer import artifacts
from trainer.data import input_pipeline, views
from trainer.methods import METHODS
from trainer.networks import NETWORKS
from trainer.training import configuration, fit

NETWORK = flags.DEFINE_enum("network_name", "resnet29", NETWORKS, "network")
ROUNDS = flags.DEFINE_integer("rounds", 20, "timed steps of each kind, after two for warm-up")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 100, "B")
CLASSES = flags.DEFINE_integer("classes", 10, "C")
PRECISION = flags.DEFINE_string("mixed_precision", "float32", "precision of the networks")
JIT = flags.DEFINE_boolean("jit_compile", False, "compile the steps with XLA")
CHECK = flags.DEFINE_boolean("check", False, "fail if a ratio or the memory is far too high")
ONLY = flags.DEFINE_string("only", None, "take steps of this kind only; print peak memory")

KINDS = {
    "supervised": {"method": "supervised"},
    "l2r": {"method": "l2r"},
    "l2r, last layer": {"method": "l2r", "meta_gradient": "last_layer"},
    "fsr": {"method": "fsr", "meta_start_epoch": 0},
    "ieg": {"method": "ieg"},
    "ieg, stopped": {"method": "ieg", "stop_guess": True},
    "ieg, last layer": {"method": "ieg", "meta_gradient": "last_layer"},
    "robust": {"method": "robust"},
}
CHOSEN = flags.DEFINE_multi_enum("kind", [], KINDS, "all unless given; supervised always")
# Supervised: 1 forward, 2 backward. L2R: these, 3 of the probe batch and 2 of the product; in the
# last layer alone, 1 of the probe batch. IEG: 5 forward and 10 backward of its losses, 4 of the
# lookahead, 3 of the probe batch and 4 of the product; with the guess stopped half of the lookahead
# and of the product; in the last layer alone none of them, and 1 of the probe batch. Robust: as
# supervised, of 1.2 times as many images and as many rotated ones, and half a forward pass for
# pseudo-labels.
FLOORS = {"forward": 1, "bare": 3, "supervised": 3, "l2r": 8, "l2r, last layer": 4}
FLOORS |= {"ieg": 26, "ieg, stopped": 22, "ieg, last layer": 16, "robust": 7.1}
# Far above benchmarks/README.md, so that other work on the machine does not matter.
AT_MOST = {
    "to supervised": {"l2r": 4, "l2r, last layer": 2, "fsr": 3, "ieg": 12, "ieg, last layer": 8},
    "peak memory, GB": {"supervised": 1.8, "l2r": 3, "l2r, last layer": 1.8, "fsr": 2.1, "ieg": 4},
}
SIDE, EXAMPLES = 32, 1000


def made_up_data(settings):
    """Random images of the shape of CIFAR, in memory."""
    rng = np.random.default_rng(0)

    def images(count):
        pixels = tf.constant(rng.integers(256, size=(count, SIDE, SIDE, 3)).astype(np.uint8))
        return views.WholeImages(lambda positions: tf.gather(pixels, positions), settings)

    C = CLASSES.value
    dataset = {"class_names": [str(c) for c in range(C)], "image_shape": (SIDE, SIDE, 3)}
    return input_pipeline.TrainingData(
        ids=np.arange(EXAMPLES),
        images=images(EXAMPLES),
        labels=rng.integers(C, size=EXAMPLES).astype(np.int32),
        probe_images=images(10 * C),
        probe_labels=np.tile(np.arange(C, dtype=np.int32), 10),
        manifests={artifacts.PREPARED_DATASET: dataset},
    )


def step_of(**chosen):
    """A compiled training step on one batch: a function without arguments, and its method."""
    settings = configuration.resolve(
        "cifar10",
        network_name=NETWORK.value,
        batch_size=BATCH_SIZE.value,
        mixed_precision=PRECISION.value,
        **chosen,
    )
    data = made_up_data(settings)
    facts = {
        "image_shape": (SIDE, SIDE, 3),
        "class_names": data.manifests[artifacts.PREPARED_DATASET]["class_names"],
        "num_examples": EXAMPLES,
    }
    method = fit.build_method(settings, facts, steps_per_epoch=10)
    batch = next(iter(input_pipeline.training_batches(data, settings, METHODS[settings.method])))
    step = tf.function(method.train_step, jit_compile=JIT.value)
    return partial(step, batch), method, batch


def floors_of(method, batch):
    """A forward pass of a network, and a plain step with momentum written out."""
    theta = method.theta
    slots = [tf.Variable(tf.zeros_like(t)) for t in theta]

    @tf.function(jit_compile=JIT.value)
    def forward():
        return tf.reduce_sum(method.network(batch["image"], training=True))

    @tf.function(jit_compile=JIT.value)
    def bare():
        with tf.GradientTape() as tape:
            z = method.network(batch["image"], training=True)
            ce = tf.nn.sparse_softmax_cross_entropy_with_logits(batch["label"], z)
            loss = tf.reduce_mean(ce) + tf.add_n(method.network.losses)
        for t, slot, gradient in zip(theta, slots, tape.gradient(loss, theta)):
            slot.assign(0.9 * slot + gradient)
            t.assign_sub(1e-4 * slot)
        return loss

    return {"forward": forward, "bare": bare}


def seconds(step):
    started = time.perf_counter()
    tf.nest.map_structure(lambda value: value.numpy(), step())
    return time.perf_counter() - started


def chosen_kinds():
    names = {"supervised", *CHOSEN.value} if CHOSEN.value else KINDS
    return {name: chosen for name, chosen in KINDS.items() if name in names}


def compare():
    """Prints and returns a row for every kind: medians of seconds and of ratios in each round."""
    steps = {}
    for name, chosen in chosen_kinds().items():
        steps[name], method, batch = step_of(**chosen)
        if name == "supervised":
            steps |= floors_of(method, batch)
    for step in steps.values():
        seconds(step), seconds(step)
    times = {name: [] for name in steps}
    for _ in range(ROUNDS.value):
        for name, step in steps.items():
            times[name].append(seconds(step))
    rows = []
    for name, taken in times.items():
        ratios = [a / b for a, b in zip(taken, times["supervised"])]
        passes = [a / b for a, b in zip(taken, times["forward"])]
        row = {"step": name, "seconds": statistics.median(taken)}
        row["to supervised"] = statistics.median(ratios)
        row["in F"], row["floor, F"] = statistics.median(passes), FLOORS.get(name)
        row["peak memory, GB"] = peak_memory(name) if name in KINDS else None
        row["operations"] = operations(steps[name]) if name in KINDS else None
        rows.append(row)
    print(tabulate(rows, headers="keys", tablefmt="github", floatfmt=".2f"))
    return rows


def operations(step):
    """Number of operations in the graph of a step."""
    return len(step.func.get_concrete_function(*step.args).graph.get_operations())


def check(rows):
    """Ends with status 1 if a number is above AT_MOST."""
    for row in rows:
        for column, limits in AT_MOST.items():
            limit = limits.get(row["step"], float("inf"))
            if row[column] is not None and row[column] > limit:
                sys.exit(f"{row['step']}, {column}: {row[column]:.2f}, above {limit}")


def peak_memory(name):
    """Peak memory in GB of a separate process."""
    command = [sys.executable, "-m", "benchmarks.steps", f"--only={name}"]
    for flag in (NETWORK, BATCH_SIZE, CLASSES, PRECISION, JIT):
        command.append(f"--{flag.name}={flag.value}")
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main(_):
    if not ONLY.value:
        rows = compare()
        return check(rows) if CHECK.value else None
    step, *_ = step_of(**KINDS[ONLY.value])
    for _ in range(3):
        seconds(step)
    print(harness.peak_memory())


if __name__ == "__main__":
    app.run(main)
