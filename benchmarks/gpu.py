"""Training steps on a GPU: time, model FLOP utilisation, and compile time of XLA.

python -m benchmarks.gpu [--seconds=240] [--row="ieg wrn28-10 bfloat16" ...] [--peak=989]

Each row has its own process, so that one that fails does not stop the others. Four at a time, the
most wanted first, trace beside each other. Those with XLA compile beside each other, and are timed
one after the other; then those without take the GPU one after the other. A row is printed as soon
as it is measured; one that is not ready in time is left out, and said so.

Model FLOPs are those of the floor of `benchmarks.steps`: the passes that the equations need, times
the FLOPs of the convolutions and of the dense layer. Utilisation is their rate over --peak, in
TFLOP/s; 989 is that of dense bfloat16 products on an H100 or H200, whatever the precision of the
row.
"""

import json
import math
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from absl import app, flags

from benchmarks import harness, steps
from trainer import xla_cache

MIXED = {"mixed_precision": "bfloat16"}
NETWORK = {"meta_precision": "network"}
XLA = {"jit_compile": True}
NHWC = {"layout_optimizer": False}
DETERMINISTIC = {"deterministic": True}
WRN, RES = {"network_name": "wrn28-10"}, {"network_name": "resnet29"}
IEG, PLAIN = {"only": "ieg"}, {"only": "supervised"}
GRAPHS = "--xla_gpu_enable_command_buffer=FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN"
GRAPHS += ",DYNAMIC_SLICE_FUSION --xla_gpu_graph_min_graph_size=1"
UNTUNED = "--xla_gpu_autotune_level=0"

ROWS = {  # the most wanted first
    "ieg wrn28-10 bfloat16, XLA": IEG | WRN | MIXED | XLA,
    "ieg wrn28-10 bfloat16, meta step too, XLA": IEG | WRN | MIXED | NETWORK | XLA,
    "ieg resnet29 float32, XLA": IEG | RES | XLA,
    "ieg wrn28-10 bfloat16, meta step too": IEG | WRN | MIXED | NETWORK,
    "ieg wrn28-10 bfloat16": IEG | WRN | MIXED,
    "ieg wrn28-10 float32": IEG | WRN,
    "supervised wrn28-10 bfloat16": PLAIN | WRN | MIXED,
    "supervised wrn28-10 float32": PLAIN | WRN,
    "ieg wrn28-10 bfloat16, NHWC": IEG | WRN | MIXED | NHWC,
    "ieg wrn28-10 float32, NHWC": IEG | WRN | NHWC,
    "ieg wrn28-10 bfloat16, meta step too, NHWC": IEG | WRN | MIXED | NETWORK | NHWC,
    "ieg wrn28-10 bfloat16, deterministic": IEG | WRN | MIXED | DETERMINISTIC,
    "ieg wrn28-10 float32, XLA": IEG | WRN | XLA,
    "supervised wrn28-10 bfloat16, XLA": PLAIN | WRN | MIXED | XLA,
    "supervised resnet29 float32, XLA": PLAIN | RES | XLA,
    "ieg resnet29 float32, XLA, graphs": IEG | RES | XLA | {"xla_flags": GRAPHS},
    "ieg resnet29 float32, XLA, untuned": IEG | RES | XLA | {"xla_flags": UNTUNED},
    "ieg resnet29 bfloat16, meta step too, XLA": IEG | RES | MIXED | NETWORK | XLA,
    "ieg resnet29 float32, XLA, 10 steps a call": IEG | RES | XLA | {"steps_per_call": 10},
    "supervised resnet29 float32, XLA, cache": PLAIN | RES | XLA | {"cache": "resnet29"},
    "supervised resnet29 float32, XLA, cached": PLAIN | RES | XLA | {"cache": "resnet29"},
    "ieg resnet29 float32, XLA, cache": IEG | RES | XLA | {"cache": "ieg"},
    "ieg resnet29 float32, XLA, cached": IEG | RES | XLA | {"cache": "ieg"},
}
AFTER = {name: name[:-1] for name in ROWS if name.endswith("cached")}  # the row it waits for

CHOSEN = flags.DEFINE_multi_enum("row", [], ROWS, "rows; all unless given")
SECONDS = flags.DEFINE_float("seconds", 240, "time for all rows")
PEAK = flags.DEFINE_float("peak", 989, "TFLOP/s that count as full utilisation")
CHILD = flags.DEFINE_boolean("child", False, "measure one row, when told to by a line of input")
STEPS_PER_CALL = flags.DEFINE_integer("steps_per_call", 1, "steps in one call of the step")
LAYOUT = flags.DEFINE_boolean("layout_optimizer", True, "let TensorFlow change the layout")
DETERMINISM = flags.DEFINE_boolean(
    "deterministic", False, "deterministic operations, as in training"
)
META = flags.DEFINE_string("meta_precision", "float32", "as for python -m trainer")
BLOCKS = flags.DEFINE_integer("blocks", 4, "timed blocks of five calls")
CALLS = 5
AT_ONCE = 4  # rows: compiling twenty on 16 cores took the rows of ieg beyond four minutes
COMPILATION = 0.75  # of the time that is left, at most


def flops_of(network):
    """FLOPs of a forward pass of one image: those of its convolutions and dense layers."""
    total = 0
    for layer in network.layers:
        if hasattr(layer, "kernel"):
            total += 2 * math.prod((*layer.output.shape[1:-1], *layer.kernel.shape))
    return total


def several(step):
    """`steps_per_call` steps in one call; the last thing that it computes is the step count."""
    import tensorflow as tf

    batch, method = step.args[0], step.func.python_function.__self__

    def call():
        def body(i):
            method.train_step(batch)
            return i + 1

        tf.while_loop(lambda i: i < STEPS_PER_CALL.value, body, [0])
        return tf.convert_to_tensor(method.optimizer.iterations.value)

    return tf.function(call, jit_compile=steps.JIT.value)


def child():
    """Traces, and then compiles and times, each when a line of input says so."""
    import tensorflow as tf

    if not LAYOUT.value:
        tf.config.optimizer.set_experimental_options({"layout_optimizer": False})
    if DETERMINISM.value:
        tf.keras.utils.set_random_seed(0)
        tf.config.experimental.enable_op_determinism()
    kind = steps.KINDS[steps.ONLY.value]
    chosen = {"meta_precision": META.value} if kind["method"] == "ieg" else {}
    step, method, batch = steps.step_of(**kind, **chosen)
    if STEPS_PER_CALL.value > 1:
        step = several(step)
        step.get_concrete_function()
    else:
        step.func.get_concrete_function(batch)
    tell(event="traced")
    wait_for_turn()
    tell(event="compiled", first=steps.seconds(step), again=steps.seconds(step))
    wait_for_turn()
    per_step = [block(step) / CALLS / STEPS_PER_CALL.value for _ in range(BLOCKS.value)]
    seconds = statistics.median(per_step)
    tflop = (
        steps.FLOORS[steps.ONLY.value] * flops_of(method.network) * steps.BATCH_SIZE.value / 1e12
    )
    tell(
        event="timed",
        ms=1000 * seconds,
        slowest_ms=1000 * max(per_step),
        tflop=tflop,
        utilisation=tflop / seconds / PEAK.value,
        peak_memory_gb=harness.peak_memory(),
    )


def wait_for_turn():
    if not sys.stdin.readline():
        sys.exit("nobody waits for this row")


def block(step):
    """Seconds of a few calls, with one wait for the GPU at the end."""
    import tensorflow as tf

    started = time.perf_counter()
    for _ in range(CALLS):
        found = step()
    tf.nest.map_structure(lambda value: value.numpy(), found)
    return time.perf_counter() - started


def tell(**what):
    print(json.dumps(what), flush=True)


class Row:
    """A process that measures one row, and what it has said so far."""

    def __init__(self, name, events, caches):
        self.name, self.said, self.state = name, {}, "started"
        chosen = dict(ROWS[name])
        environment = dict(os.environ, TF_FORCE_GPU_ALLOW_GROWTH="true")
        cache, xla_flags = chosen.pop("cache", None), chosen.pop("xla_flags", "")
        environment["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {xla_flags}".strip()
        place = f"{xla_cache.DIRECTORY}{caches}/{cache or list(ROWS).index(name)}"
        environment[xla_cache.FLAGS] = place  # not that of earlier runs
        arguments = [f"--{key}={value}".lower() for key, value in chosen.items()]
        arguments += [f"--{f.name}={f.value}" for f in (steps.BATCH_SIZE, PEAK, BLOCKS)]
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.gpu", "--child", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment,
            text=True,
        )
        threading.Thread(target=self.listen, args=(events,), daemon=True).start()

    def listen(self, events):
        for line in self.process.stdout:
            if line.startswith("{"):
                events.put((self, json.loads(line)))
        events.put((self, {"event": "ended"}))

    def go(self, state):
        self.state = state
        try:
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.state = "ended"

    def hear(self, said):
        if said["event"] == "ended" and self.state not in ("timed", "ended"):
            self.errors.seek(0)
            lines = self.errors.read().strip().splitlines()
            tell(row=self.name, failed=self.state, error=" | ".join(lines[-2:])[-400:])
        if self.state == "ended":
            return
        self.state = said.pop("event")
        self.said |= said
        if self.state == "timed":
            tell(row=self.name, **{key: rounded(value) for key, value in self.said.items()})


def rounded(value):
    return float(f"{value:.4g}") if isinstance(value, float) else value


def wait(events, done, deadline):
    """Hears what the rows say until `done()` or the deadline."""
    while not done():
        try:
            row, said = events.get(timeout=max(0.01, deadline - time.monotonic()))
        except queue.Empty:
            return
        row.hear(said)


def measure(names, caches, deadline):
    """Rows with XLA first, whose compilation has to leave time for timing; then the others."""
    started, events = time.monotonic(), queue.Queue()
    last = started + COMPILATION * (deadline - started)
    rows = {name: Row(name, events, caches) for name in names}
    compiled = [row for row in rows.values() if ROWS[row.name].get("jit_compile")]

    def reaches(row, state, by=deadline):
        wait(events, lambda: row.state in (state, "ended"), by)
        return row.state == state

    def take_turn(row):
        row.go("timing")
        reaches(row, "timed")

    def end(row):
        if row.state not in ("timed", "ended"):
            tell(row=row.name, left_out=f"still {row.state} at the end", **row.said)
        row.state = "ended"
        row.process.kill()

    for row in sorted(compiled, key=lambda row: row.name in AFTER):
        first = rows.get(AFTER.get(row.name))
        if (not first or reaches(first, "compiled", last)) and reaches(row, "traced", last):
            row.go("compiling")
    wait(events, lambda: all(row.state in ("compiled", "ended") for row in compiled), last)
    for row in compiled:
        if row.state == "compiled":
            take_turn(row)
        end(row)
    for row in rows.values():
        if row not in compiled and reaches(row, "traced"):
            row.go("compiling")
            if reaches(row, "compiled"):
                take_turn(row)
    for row in rows.values():
        end(row)


def main(_):
    if CHILD.value:
        return child()
    names, deadline = CHOSEN.value or list(ROWS), time.monotonic() + SECONDS.value
    with tempfile.TemporaryDirectory() as caches:
        for first in range(0, len(names), AT_ONCE):
            some = names[first : first + AT_ONCE]
            if time.monotonic() < deadline:
                measure(some, caches, deadline)
            else:
                tell(rows=some, left_out="no time was left to start")


if __name__ == "__main__":
    app.run(main)
