"""Images embedded per second, beside what the network alone does in `predict`.

python -m benchmarks.embedding [--rounds=5] [--count=256]

Images of 32 x 32 pixels are enlarged; of JPEG files of 500 x 375 the middle is read. In a round
both kinds are embedded as `embed_images` does it, and the network predicts as many arrays that
are ready in memory. Ratios are medians over the rounds, to the network alone.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags
from tabulate import tabulate

from benchmarks import harness, steps, views
from trainer import backbones
from trainer.backbones import fetch, seen, shards
from trainer.data import records
from trainer.settings.data import DataSettings
from trainer.training import configuration

COUNT = flags.DEFINE_integer("count", 256, "images in a round; batches of 32 are whole")
flags.set_default(steps.ROUNDS, 5)
ALONE = "the network alone"


def main(_):
    with tempfile.TemporaryDirectory() as root:
        passes = made(Path(root))
        for one in passes.values():
            one()  # traces it
        seconds = {name: [] for name in passes}
        for _ in range(steps.ROUNDS.value):
            for name, one in passes.items():
                started = time.perf_counter()
                one()
                seconds[name].append(time.perf_counter() - started)
    rows = []
    for name, found in seconds.items():
        ratio = statistics.median(b / a for a, b in zip(found, seconds[ALONE]))
        rows.append([name, f"{COUNT.value / statistics.median(found):.0f}", f"{ratio:.2f}"])
    print(tabulate(rows, ["images", "per second", "x the network alone"], "github"))


def made(root):
    """Functions that embed COUNT images each, by the kind of image."""
    fetch.fetch(backbones.DEFAULT, root / "backbone")
    network, rng = fetch.read_network(root / "backbone"), np.random.default_rng(0)
    pixels = rng.uniform(0, 255, (COUNT.value, *network.input_shape[1:])).astype(np.float32)
    harness.made_up(root / "small", "cifar10", (32, 32, 3), 10, COUNT.value + 100, 32)
    views.pictures(root / "pictures")
    files = DataSettings(data=str(root / "pictures"))
    records.prepare("image_folder", root / "large" / "prepared_dataset", files)
    return {
        ALONE: lambda: network.predict(pixels, seen.BATCH, verbose=0),
        "32 x 32": embedding(root, "small", COUNT.value),
        "500 x 375": embedding(root, "large", 64),
    }


def embedding(root, name, size):
    """A function that embeds COUNT images of a prepared dataset, the first `size` in turn."""
    config = configuration.resolve("image_folder", backbone=backbones.DEFAULT)
    dataset = harness.paths(root / name)[0]
    found = shards.Shards(dataset, root / "backbone", config, seed=0)

    def one():
        for _ in range(COUNT.value // size):
            for _ in found.rows("train", 0, size):
                pass

    return one


if __name__ == "__main__":
    app.run(main)
