"""Views of images for networks: weak and strong ones in training, a fixed one in tests.

Networks see small images whole; the images are kept decoded if they fit into memory. If images are
larger, or differ in size, each view is a random crop. A JPEG is decoded once for both views, and
only within the crops. B batch, S side of a crop.
"""

import atexit
import math
import time
from functools import partial

import tensorflow as tf

from trainer.data import records
from trainer.data.augmentation import augment, autoaugment, crops
from trainer.errors import InputError

WHOLE_SIDE, CROP_SIDE = 64, 224  # largest side that is seen whole, side of crops of others


def crop_side(dataset, config):
    """Side of the crops of a dataset's images in a run; 0 if it sees them whole.

    It sees them whole if all have one size of at most `image_size`, or 64 pixels unless given.
    Otherwise crops are of that side, or as large as a backbone takes images.

    Args:
      dataset: Manifest of the prepared dataset.
      config: `trainer.settings.training.TrainSettings`.
    """
    H, W, _ = dataset["image_shape"]
    whole = H and max(H, W) <= (config.image_size or WHOLE_SIDE)
    return 0 if whole else config.image_size or config.backbone_image_size or CROP_SIDE


def input_shape(dataset, config):
    """(H, W, channels) of the network's input."""
    side = crop_side(dataset, config)
    return (side, side, 3) if side else tuple(dataset["image_shape"])


def check_augmentation(dataset, config, method):
    """Raises InputError unless the strong view can be made of these images."""
    shape = input_shape(dataset, config)
    strong = CROPS if crop_side(dataset, config) else COLOURED if shape[-1] == 3 else GREY
    if method.strong_size(config) and config.aug_type not in strong:
        rule = f"must be {' or '.join(strong)} for images seen as {shape}"
        raise InputError("--aug_type", rule, config.aug_type)


# How the strong view is made from the weak one; None: from the image itself.
GREY = {"affine": augment.strong, "default": None}
COLOURED = GREY | {
    "autoaug": autoaugment.cifar_strong,
    "randaug": autoaugment.randaugment_strong,
}
CROPS = GREY | {"autoaug": None}


def make_views(encoded, dataset, config):
    """The views of `trainer.data.records.EncodedImages`; see `whole_images`."""
    if side := crop_side(dataset, config):
        return Crops(encoded, config, side)
    return WholeImages(whole_images(encoded, dataset, config), config)


def whole_images(encoded, dataset, config):
    """A function from positions, int64 (B,), to images, uint8 (B, H, W, channels).

    Args:
      encoded: `trainer.data.records.EncodedImages` of one shape.
      dataset: Manifest of their dataset.
      config: `trainer.settings.training.TrainSettings`; up to `image_cache_gb` are kept decoded.
    """
    shape = dataset["image_shape"]
    if 0 < len(encoded) * math.prod(shape) <= config.image_cache_gb * 1e9:
        # A tensor, because an array inside `Dataset.map` would become a constant of the graph.
        with tf.device("CPU"):
            return partial(tf.gather, tf.constant(records.decode_images(encoded, shape)))

    def decode(image):
        return tf.ensure_shape(tf.io.decode_image(image, shape[-1]), shape)

    def read(positions):
        batch = read_encoded(encoded, positions)
        return tf.map_fn(decode, batch, fn_output_signature=tf.TensorSpec(shape, tf.uint8))

    return read


class WholeImages:
    """Views of images that are seen whole.

    Args:
      images: Function of positions, as `whole_images` gives it.
      config: `trainer.settings.training.TrainSettings`.
    """

    def __init__(self, images, config):
        self.images = images
        self.config = config

    def weak(self, positions, seed):
        """A shifted, maybe mirrored view of each image: float32 (B, H, W, channels)."""
        images = self.images(positions)
        return augment.weak(images, seed, self.config.crop_padding, self.config.horizontal_flip)

    def weak_and_strong(self, positions, weak_seed, strong_seed, size):
        """The weak views, and second views of the first `size`: strong ones, or weak ones again."""
        weak, make = self.weak(positions, weak_seed), COLOURED[self.config.aug_type]
        if make:
            return weak, make(weak[:size], strong_seed)
        return weak, self.weak(positions[:size], strong_seed)


class Crops:
    """Views of images that are kept encoded.

    Args:
      images: `trainer.data.records.EncodedImages`.
      config: `trainer.settings.training.TrainSettings`.
      side: S.
    """

    def __init__(self, images, config, side):
        self.images = images
        self.config = config
        self.side = side

    def weak(self, positions, seed):
        """A random crop of each image, maybe mirrored: float32 (B, S, S, 3)."""
        (crop,) = self.crops(positions, self.draws(seed, positions.shape[0]))
        return augment.scale(crop)

    def weak_and_strong(self, positions, weak_seed, strong_seed, size):
        """The weak views, and strong ones of the first `size`.

        They are AutoAugment on another crop, an affine view of the weak one, or another crop.
        """
        B, make = positions.shape[0], CROPS[self.config.aug_type]
        if make:
            weak = self.weak(positions, weak_seed)
            return weak, make(weak[:size], strong_seed)
        crop_seed, strong_seed = tf.unstack(tf.random.split(strong_seed))
        keys, mirrored = self.draws(weak_seed, B)
        first = (keys[:size], mirrored[:size]), self.draws(crop_seed, size)
        weak, strong = self.crops(positions[:size], *first)
        if size < B:
            (others,) = self.crops(positions[size:], (keys[size:], mirrored[size:]))
            weak = tf.concat([weak, others], axis=0)
        if self.config.aug_type == "default":
            return augment.scale(weak), augment.scale(strong)
        return augment.scale(weak), autoaugment.imagenet_strong(strong, strong_seed)

    def draws(self, seed, count):
        """Random draws for a crop of each image: keys (count, 2), and whether it is mirrored."""
        crop_seed, flip_seed = tf.unstack(tf.random.split(seed))
        mirrored = tf.zeros([count], tf.bool)
        if self.config.horizontal_flip:
            mirrored = tf.random.stateless_uniform([count], flip_seed) < 0.5
        return tf.random.split(crop_seed, count), mirrored

    def crops(self, positions, *draws):
        """A list of uint8 (n, S, S, 3), one for each of `draws`; an image is read once for all."""
        windows, mirrored = (tf.stack(column, axis=1) for column in zip(*draws))
        files = read_encoded(self.images, positions)
        made = crops.of_files(files, crops.random_window, self.side, windows, mirrored)
        return tf.unstack(made, axis=1)


def as_tested(encoded, shape, side):
    """JPEG or PNG files as a test sees them: float32 (B, H, W, channels).

    Args:
      encoded: string (B,), the content of the files.
      shape: (H, W, channels) of the network's input.
      side: `crop_side`; where it is 0, images of other sizes are resized.
    """
    H, W, channels = shape

    def view(content):
        if side:
            return crops.middle(content, side)
        image = tf.io.decode_image(content, channels, expand_animations=False)
        image = tf.ensure_shape(image, [None, None, channels])
        same = tf.reduce_all(tf.shape(image)[:2] == [H, W])

        def resized():
            return tf.cast(tf.round(tf.image.resize(image, [H, W])), tf.uint8)

        return tf.ensure_shape(tf.cond(same, lambda: image, resized), [H, W, channels])

    shape = tf.TensorSpec([H, W, channels], tf.uint8)
    return augment.scale(tf.map_fn(view, encoded, fn_output_signature=shape))


def read_encoded(images, positions):
    """The files at int64 (B,) positions of `trainer.data.records.EncodedImages`: string (B,)."""
    read = partial(READS.take, images.serialised)
    examples = tf.numpy_function(read, [positions], tf.string, stateful=False)
    image = {"image": tf.io.FixedLenFeature([], tf.string)}
    return tf.io.parse_example(tf.ensure_shape(examples, positions.shape), image)["image"]


class Reads:
    """Python code that threads of iterators run, ended before the interpreter shuts down.

    A closing interpreter blocks these threads, and an iterator that is destroyed while one of its
    threads is blocked waits for ever.
    """

    def __init__(self):
        self.ended, self.taken = False, 0

    def take(self, read, positions):
        self.taken += 1
        if self.ended:
            raise tf.errors.CancelledError(None, None, "the process ends")
        return read(positions)

    def end(self):
        """Lets the threads fill their buffers with errors, after which they rest."""
        self.ended, before = True, 0
        while self.taken != before:
            before = self.taken
            time.sleep(0.2)


READS = Reads()
atexit.register(READS.end)


def test_batches(dataset_path, config, batch_size, split="test", ids=None):
    """One pass over a split, or over `ids` of it, in order; the last batch may be smaller.

    Args:
      dataset_path: Directory of a prepared dataset.
      config: `trainer.settings.training.TrainSettings` of the run.
      batch_size: B.
      split: Name of the split.
      ids: int64 (N,), all unless given.

    Returns:
      `tf.data.Dataset` of dictionaries: image float32 (B, H, W, channels) and label (B,).
    """
    dataset, labels = records.read_manifest(dataset_path), records.read_labels(dataset_path, split)
    side = crop_side(dataset, config)
    encoded = records.EncodedImages(dataset_path, split, ids)
    labels = labels[encoded.ids]
    whole = None if side else whole_images(encoded, dataset, config)

    def batch(positions, labels):
        if whole:
            return {"image": augment.scale(whole(positions)), "label": labels}
        files = read_encoded(encoded, positions)
        return {"image": as_tested(files, (side, side, 3), side), "label": labels}

    positions = tf.data.Dataset.from_tensor_slices((tf.range(len(labels)), labels))
    batches = positions.batch(batch_size).map(batch, num_parallel_calls=tf.data.AUTOTUNE)
    # Without this the end of a pass waits for a sleeping tuning thread, as long as the pass took.
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)
