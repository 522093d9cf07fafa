"""Weak and strong views made per second, on one core and on two.

python -m benchmarks.views [--cores=1,2] [--rounds=5] [--batches=10] [--batch_size=100]

Images of 32 x 32 are kept in memory, decoded. JPEG files of 500 x 375 become two crops of 224 x 224
each, beside the recipe of the IEG release in plain TensorFlow, which takes one image at a time: it
encodes each image as JPEG once more, decodes both crops from that, and draws one of 25 sub-policies
for the second. The release has its files in records, here they are in memory. Ratios are medians of
those in each round, to the weak view of 32 x 32 and to that recipe.
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

from benchmarks import harness, steps
from trainer import config
from trainer.data import (
    augment,
    autoaugment,
    image_ops,
    input_pipeline,
    noise,
    policy_steps,
    probe,
    records,
)
from trainer.data.policies import IMAGENET_V0
from trainer.methods import IEG, Supervised

CORES = flags.DEFINE_list("cores", ["1", "2"], "numbers of cores")
BATCHES = flags.DEFINE_integer(
    "batches", 10, "batches of 224 x 224 in a round; of 32 x 32 ten times"
)
WARM_UP = flags.DEFINE_integer("warm_up", 3, "batches before those that count")
PICTURES = flags.DEFINE_integer("pictures", 120, "JPEG files, at least one batch")
HERE = flags.DEFINE_integer("here", 0, "measure in this process, on so many cores, and print JSON")
flags.set_default(steps.ROUNDS, 5)

SIDE, SIZE, QUALITY = 224, (500, 375), 90
WEAK, BOTH, WHOLE, RECIPE = "weak", "weak and strong", "IEG batch", "weak and strong, as released"


class BothViews:
    """A method that uses the two views and nothing else."""

    uses_probe, uses_strong_view, uses_queue = False, True, False


def small():
    """Batches of views of 32 x 32, by name. An IEG batch has a weak view of the probe as well."""
    settings = config.resolve("cifar10", batch_size=steps.BATCH_SIZE.value)
    data = steps.made_up_data(settings)
    methods = {WEAK: Supervised, BOTH: BothViews, WHOLE: IEG}
    return {k: input_pipeline.training_batches(data, settings, m) for k, m in methods.items()}


def large(root):
    """Batches of views of 224 x 224, by name, and those of the published recipe."""
    pictures(root / "pictures")
    data, noisy_labels, split = harness.paths(root)
    records.prepare("image_folder", data, config.DataConfig(data=str(root / "pictures")))
    noise.inject(data, noisy_labels, "none", 0, seed=0)
    probe.split(data, split, per_class=0, seed=0)
    settings = config.resolve(
        "image_folder", image_size=SIDE, batch_size=steps.BATCH_SIZE.value, aug_type="autoaug"
    )
    loaded = input_pipeline.load(data, noisy_labels, split, settings)
    methods = {WEAK: Supervised, BOTH: BothViews}
    made = {k: input_pipeline.training_batches(loaded, settings, m) for k, m in methods.items()}
    encoded = records.EncodedImages(data, "train")
    files = tf.data.Dataset.from_tensor_slices(encoded[np.arange(len(encoded))]).repeat()
    released = files.map(as_released, num_parallel_calls=tf.data.AUTOTUNE)
    return made | {RECIPE: released.batch(settings.batch_size).prefetch(tf.data.AUTOTUNE)}


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


def as_released(encoded):
    """Both views of one JPEG file: float32 (224, 224, 3) each."""
    again = tf.io.encode_jpeg(tf.io.decode_jpeg(encoded, 3), quality=95)
    image = tf.cast(random_crop(again), tf.uint8)[tf.newaxis]
    policies = [partial(take_pair, image_ops.with_alpha(image), pair) for pair in IMAGENET_V0]
    image = tf.switch_case(tf.random.uniform([], 0, len(policies), tf.int32), policies)
    centre = tf.random.uniform([1, 2], 0, SIDE, tf.int32)
    image = image_ops.cutout(image, centre, autoaugment.CUTOUT, autoaugment.BLACK)
    return augment.scale(random_crop(again)), augment.scale(image[0, ..., :3])


def random_crop(encoded):
    """8% to 100% of the area, resized, maybe mirrored: float32 (224, 224, 3), grey levels."""
    start, size, _ = tf.image.sample_distorted_bounding_box(
        tf.io.extract_jpeg_shape(encoded),
        tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        min_object_covered=0.1,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(0.08, 1.0),
        max_attempts=10,
    )
    window = tf.concat([start[:2], size[:2]], axis=0)
    crop = tf.io.decode_and_crop_jpeg(encoded, window, channels=3)
    return tf.image.random_flip_left_right(tf.image.resize(crop, [SIDE, SIDE]))


def take_pair(image, pair):
    """Two steps on an image (1, 224, 224, 4)."""
    for step in pair:
        image = take(image, step)
    return image


def take(image, step):
    encoded = policy_steps.encode(
        [step], policy_steps.IMAGENET_OPERATORS, policy_steps.IMAGENET_LEVELS, SIDE, SIDE
    )
    operator = encoded.operators[encoded.kind[0]]
    numbers = tf.gather(encoded.numbers[0], tf.random.uniform([1], 0, 2, tf.int32))
    pixel = tf.zeros([1, 2], tf.int32)  # for Cutout, which is in none of the 25
    taken = tf.random.uniform([]) < encoded.probability[0]
    return tf.cond(taken, lambda: operator(image, numbers, pixel), lambda: image)


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


def measure():
    """Rows of side, name, rate and ratio, on the first cores that this process may run on."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: HERE.value])
    with tempfile.TemporaryDirectory() as root:
        small_rows = compare(small(), WEAK, 10 * BATCHES.value)
        large_rows = compare(large(Path(root)), RECIPE, BATCHES.value)
        return [(steps.SIDE, *row) for row in small_rows] + [(SIDE, *row) for row in large_rows]


def main(_):
    if HERE.value:
        return print(json.dumps(measure()))
    same = (steps.BATCH_SIZE, steps.ROUNDS, BATCHES, WARM_UP, PICTURES)
    chosen = {flag.name: flag.value for flag in same}
    table = {}
    for cores in CORES.value:
        for side, name, images, ratio in harness.result_of(
            "benchmarks.views", here=cores, **chosen
        ):
            row = table.setdefault((side, name), {"side": side, "views": name})
            row[f"images/s, cores={cores}"] = round(images)
            row[f"ratio, cores={cores}"] = ratio
    print(tabulate(table.values(), headers="keys", tablefmt="github", floatfmt=".2f"))


if __name__ == "__main__":
    app.run(main)
