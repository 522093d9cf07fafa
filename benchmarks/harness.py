"""Common parts of the benchmarks: artifacts of random images, and separate processes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from trainer import artifacts, local_run

DISTINCT = 1000  # images, used in turn
# The pairs of asymmetric noise, as in `trainer.data.noise.noise_models`.
PAIRS = {
    "truck": "automobile",
    "bird": "airplane",
    "deer": "horse",
    "cat": "dog",
    "dog": "cat",
}


def made_up(root, name, shape, classes, train, test):
    """Writes random images as a prepared dataset, with 40% uniform noise and 10 trusted per class.

    Args:
      root: Directory of a run.
      name: Name of the dataset, such as cifar10.
      shape: (H, W, channels) of the images.
      classes: C.
      train: Number of training examples.
      test: Number of test examples.
    """
    from trainer.data import probe, records
    from trainer.data.noise import injection
    from trainer.data.sources.digits import png
    from trainer.data.sources.source import Source
    from trainer.settings.data import DataSettings

    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(DISTINCT, *shape)).astype(np.uint8)
    files = [png(image.squeeze()) for image in pixels]

    def examples(count):
        return ((files[i % DISTINCT], i % classes) for i in range(count))

    source = Source(
        class_names=tuple(str(c) for c in range(classes)),
        image_shape=shape,
        splits={"train": examples(train), "test": examples(test)},
        size=train + test,
        labels_are_clean=True,
    )
    data, noisy_labels, split = paths(root)
    with artifacts.writing(data) as directory:
        records.write_dataset(directory, name, source, DataSettings())
    injection.inject(data, noisy_labels, "uniform", 0.4, seed=0)
    probe.split(data, split, per_class=10, seed=0)


def paths(root):
    """The paths of the three artifacts that training reads."""
    return [Path(root) / part for part in local_run.DATA]


def result_of(module, **flags):
    """The last line that `python -m <module> --<name>=<value> ...` prints, read as JSON."""
    command = [sys.executable, "-m", module, *(f"--{k}={v}" for k, v in flags.items())]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def peak_memory():
    """Peak memory of this process in GB; of its tensors on the first GPU, where there is one.

    `getrusage` would also count the memory of the parent before it started this process.
    """
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e9
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e9
