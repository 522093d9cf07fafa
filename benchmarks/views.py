"""Throughput of weak and strong views in images/s, on one core and on two.

python -m benchmarks.views [--cores=1,2] [--rounds=5] [--batches=10] [--batch_size=100]

Images of 32 x 32 pixels are in memory, decoded. JPEG files of 500 x 375 become two crops of 224 x
224 each. They are compared with the recipe of the IEG release in TensorFlow's own functions, one
image at a time: it encodes each image as JPEG once more, decodes both crops from that, and draws
one of 25 sub-policies for the second. The release reads its files from records, here they are in
memory. Ratios are medians over rounds, to the weak view of 32 x 32 and to that recipe. A second
table has the time of each part of both views of 224 x 224, in one thread.
"""

import json
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import app, flags
from PIL import Image
from tabulate import tabulate

from benchmarks import harness, released_views, steps
from benchmarks.released_views import SIDE
from trainer.data import input_pipeline, probe, records
from trainer.data.augmentation import autoaugment, crops, image_ops
from trainer.data.noise import injection
from trainer.methods import IEG, Supervised
from trainer.methods.method import Method
from trainer.settings.data import DataSettings
from trainer.training import configuration

CORES = flags.DEFINE_list("cores", ["1", "2"], "numbers of cores")
BATCHES = flags.DEFINE_integer(
    "batches", 10, "batches of 224 x 224 in a round; of 32 x 32 ten times"
)
WARM_UP = flags.DEFINE_integer("warm_up", 3, "batches for warm-up")
PICTURES = flags.DEFINE_integer("pictures", 120, "JPEG files, at least one batch")
HERE = flags.DEFINE_integer("here", 0, "measure in this process, on so many cores; print JSON")
flags.set_default(steps.ROUNDS, 5)

SIZE, QUALITY = (500, 375), 90
WEAK, BOTH, WHOLE, RECIPE = "weak", "weak and strong", "IEG batch", "weak and strong, as released"


class BothViews(Method):
    """Uses the two views and nothing else."""

    strong_size = staticmethod(lambda config: config.batch_size)


def small():
    """Batches of views of 32 x 32, by name. An IEG batch has a weak view of the probe as well."""
    settings = configuration.resolve("cifar10", batch_size=steps.BATCH_SIZE.value)
    data = steps.made_up_data(settings)
    methods = {WEAK: Supervised, BOTH: BothViews, WHOLE: IEG}
    return {k: input_pipeline.training_batches(data, settings, m) for k, m in methods.items()}


def large(root):
    """Batches of views of 224 x 224, by name, and those of the published recipe; JPEG files."""
    pictures(root / "pictures")
    data, noisy_labels, split = harness.paths(root)
    records.prepare("image_folder", data, DataSettings(data=str(root / "pictures")))
    injection.inject(data, noisy_labels, "none", 0, seed=0)
    probe.split(data, split, per_class=0, seed=0)
    given = {"image_size": SIDE, "batch_size": steps.BATCH_SIZE.value, "aug_type": "autoaug"}
    settings = configuration.resolve("image_folder", backbone="none", **given)
    loaded = input_pipeline.load_training_data(data, noisy_labels, split, settings)
    methods = {WEAK: Supervised, BOTH: BothViews}
    made = {k: input_pipeline.training_batches(loaded, settings, m) for k, m in methods.items()}
    encoded = records.EncodedImages(data, "train")
    files = encoded[np.arange(len(encoded))]
    released = tf.data.Dataset.from_tensor_slices(files).repeat()
    released = released.map(released_views.views, num_parallel_calls=tf.data.AUTOTUNE)
    made[RECIPE] = released.batch(settings.batch_size).prefetch(tf.data.AUTOTUNE)
    return made, files


def pictures(root):
    """Writes random pictures with structure of all sizes, as train/<class>/ and test/<class>/."""
    rng = np.random.default_rng(0)
    for split, count in (("train", PICTURES.value), ("test", 2)):
        for i in range(count):
            file = root / split / str(i % 2) / f"{i}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            picture(rng).save(file, quality=QUALITY)


def picture(rng):
    total = np.zeros((*SIZE[::-1], 3))
    for share, n in ((8, 1), (4, 4), (2, 16), (1, 64)):
        grid = rng.integers(256, size=(3 * n, 4 * n, 3)).astype(np.uint8)
        total += share / 15 * np.asarray(Image.fromarray(grid).resize(SIZE, Image.BICUBIC))
    return Image.fromarray(total.astype(np.uint8))


def rate(dataset, count):
    """Images per second over `count` batches."""
    batches = iter(dataset)
    for _ in range(WARM_UP.value):
        next(batches)
    started = time.perf_counter()
    for _ in range(count):
        next(batches)
    return count * steps.BATCH_SIZE.value / (time.perf_counter() - started)


def compare(datasets, reference, count):
    """Median rate of each, and median of its ratios to the reference in each round."""
    rounds = [{k: rate(d, count) for k, d in datasets.items()} for _ in range(steps.ROUNDS.value)]
    for name in datasets:
        ratios = [rates[name] / rates[reference] for rates in rounds]
        yield name, statistics.median(r[name] for r in rounds), statistics.median(ratios)


def parts(files):
    """Rows of the parts of both views of 224 x 224, in ms per image in one thread."""
    n = len(files)
    seeds = tf.random.stateless_uniform([n, 2, 2], [0, 0], 0, 99, tf.int32)
    crop = partial(crops.of_files, files, crops.random_window, SIDE, seeds, seeds[..., 0] % 2 > 0)
    images = crop()[:, 0]

    def each(function, dtype=tf.uint8):
        return lambda: tf.map_fn(function, files, fn_output_signature=dtype)

    def both_crops(file):
        return tf.stack([released_views.random_crop(file) for _ in range(2)])

    work = {
        "a file decoded": each(lambda file: tf.io.decode_jpeg(file, 3)[:SIDE, :SIDE]),
        "both crops of a file, decoded once": crop,
        "AutoAugment": partial(autoaugment.imagenet_strong, images, [0, 0]),
        "Equalize": partial(image_ops.equalize, image_ops.with_alpha(images)),
        "as released: a file decoded and encoded": each(released_views.encoded_again, tf.string),
        "as released: both crops, a file decoded twice": each(both_crops, tf.float32),
    }
    for name, function in work.items():
        compiled = tf.function(function)
        compiled()
        taken = statistics.median(seconds(compiled) for _ in range(steps.ROUNDS.value))
        yield name, 1000 * taken / n


def seconds(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def measure():
    """Rows of side, name, rate and ratio, on the first cores that this process may run on."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: HERE.value])
    with tempfile.TemporaryDirectory() as root:
        small_rows = compare(small(), WEAK, 10 * BATCHES.value)
        datasets, files = large(Path(root))
        large_rows = compare(datasets, RECIPE, BATCHES.value)
        rates = [(steps.SIDE, *row) for row in small_rows] + [(SIDE, *row) for row in large_rows]
        return {"rates": rates, "parts": list(parts(files)) if HERE.value == 1 else []}


def main(_):
    if HERE.value:
        return print(json.dumps(measure()))
    same = (steps.BATCH_SIZE, steps.ROUNDS, BATCHES, WARM_UP, PICTURES)
    chosen = {flag.name: flag.value for flag in same}
    table, parts = {}, []
    for cores in CORES.value:
        measured = harness.result_of("benchmarks.views", here=cores, **chosen)
        parts += measured["parts"]
        for side, name, images, ratio in measured["rates"]:
            row = table.setdefault((side, name), {"side": side, "views": name})
            row[f"images/s, cores={cores}"] = round(images)
            row[f"ratio, cores={cores}"] = ratio
    print(tabulate(table.values(), headers="keys", tablefmt="github", floatfmt=".2f"))
    print()
    print(tabulate(parts, ("224 x 224", "ms"), tablefmt="github", floatfmt=".2f"))


if __name__ == "__main__":
    app.run(main)
