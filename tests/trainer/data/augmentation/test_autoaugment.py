"""The numbers of `tests/golden/autoaugment_ops.npz`: Pillow's, through the released IEG code."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer.data.augmentation import augment, autoaugment, image_ops, policies, policy_steps

GOLDEN = Path(__file__).parents[3] / "golden"
VIEWS = ["cifar_strong", "randaugment_strong", "imagenet_strong"]


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "autoaugment_ops.npz") as arrays:
        return dict(arrays)


@pytest.fixture
def images():
    return tf.constant(np.random.default_rng(0).integers(256, size=(40, 32, 32, 3)), tf.uint8)


def take(images, policy, rows, **draws):
    """Steps of a policy for CIFAR, with all draws 0 but the given ones."""
    B, H, W, _ = images.shape
    draws = {
        "uniform": np.zeros([2, B], np.float32),
        "negative": np.zeros([2, B], bool),
        "pixel": np.zeros([2, B, 2], np.int32),
    } | draws
    steps = policy_steps.encode(
        policy, policy_steps.CIFAR_OPERATORS, policy_steps.CIFAR_LEVELS, H, W
    )
    images = image_ops.with_alpha(tf.constant(images))
    return policy_steps.take(images, steps, np.int32(rows), policy_steps.Draws(**draws))


@pytest.mark.parametrize(
    "key",
    [f"{name}{sign}" for name in policy_steps.AFFINE for sign in ("_pos", "_neg")]
    + ["AutoContrast", "Equalize", "Invert", "Posterize", "Solarize"]
    + ["Color", "Contrast", "Brightness", "Sharpness", "Cutout"],
)
def test_golden_cifar_operators(golden, key):
    """Equal at every level, alpha included."""
    images, expected = golden["cifar/images"], golden[f"cifar/op/{key}"]
    name, _, sign = key.partition("_")
    for i in range(expected.shape[1]):
        result = take(
            images,
            [(name, 1.0, int(golden["cifar/levels"][i])), ("Identity", 1.0, 0)],
            [[0] * len(images), [1] * len(images)],
            negative=np.full([2, len(images)], sign == "neg"),
            pixel=np.tile(np.int32(golden["cifar/cutout_op_draws"][i]), [2, len(images), 1]),
        )
        np.testing.assert_array_equal(result, expected[:, i], f"level {i}")


def test_golden_smooth(golden):
    smooth = image_ops.smooth(image_ops.with_alpha(tf.constant(golden["cifar/images"])))
    np.testing.assert_array_equal(smooth, golden["cifar/op/Smooth"][:, 0])


@pytest.mark.parametrize("key", ["full", "randaug"])
def test_golden_cifar_views(golden, key):
    """The whole strong view with scripted draws."""
    arrays = {name[len(key) + 7 :]: golden[name] for name in golden if f"/{key}/" in name}
    if key == "full":
        pairs = [policies.CIFAR10[i] for i in arrays["policy_index"]]
    else:
        choices = zip(arrays["op_names"], arrays["magnitudes"])
        pairs = [[(str(n), 0.5, int(m)) for n, m in zip(*choice)] for choice in choices]
    B = len(pairs)
    uniform, negative = np.zeros([2, B], np.float32), np.zeros([2, B], bool)
    pixel = np.zeros([2, B, 2], np.int32)
    offset, centre = np.zeros([B, 2], np.int32), np.zeros([B, 2], np.int32)
    for i, pair in enumerate(pairs):
        uniforms, integers = iter(arrays["uniform_draws"][i]), iter(arrays["integer_draws"][i])
        for j, (name, probability, _) in enumerate(pair):
            uniform[j, i] = next(uniforms)
            if uniform[j, i] < probability and name in policy_steps.AFFINE:
                negative[j, i] = next(uniforms) > 0.5
            if uniform[j, i] < probability and name == "Cutout":
                pixel[j, i] = next(integers), next(integers)
        offset[i, ::-1] = next(integers), next(integers)
        centre[i, ::-1] = next(integers), next(integers)

    # The release truncates, which loses levels of these images.
    images = (golden["cifar/images_scaled"] * np.float32(0.5) + np.float32(0.5)) * 255
    images = images.astype(np.uint8)[arrays["image_index"]]
    rows = 2 * np.arange(B) + [[0], [1]]
    images = take(
        images, autoaugment.flatten(pairs), rows, uniform=uniform, negative=negative, pixel=pixel
    )
    views = autoaugment.finish(images, offset, arrays["flip_draw"] > 0.5, centre)
    np.testing.assert_allclose(views, arrays["output"], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["AutoContrast", "Equalize", "Invert", "Posterize", "Solarize", "SolarizeAdd", "Color"]
)
def test_golden_imagenet_operators(golden, name):
    """Equal, or one level off where the release computes in float32 and truncates."""
    images = image_ops.with_alpha(tf.constant(golden["imagenet/images"]))
    arguments = golden.get(f"imagenet/arg/{name}", [0])
    for i, level in enumerate([0, 2, 5, 8, 10][: len(arguments)]):
        meaning = policy_steps.IMAGENET_LEVELS.get(name, lambda level: 0)(level)
        assert meaning == pytest.approx(arguments[i] % 256)
        numbers = tf.fill([len(images), 6], tf.cast(meaning, tf.float64))
        result = policy_steps.IMAGENET_OPERATORS[name](images, numbers, None)[..., :3]
        np.testing.assert_allclose(
            np.int32(result),
            np.int32(golden[f"imagenet/op/{name}"][:, i]),
            rtol=0,
            atol=1 if name in ("AutoContrast", "Color") else 0,
        )


def test_golden_imagenet_cutout(golden):
    centres = golden["imagenet/cutout/centres"][:, ::-1]
    expected = golden["imagenet/cutout/output"]
    image = golden["imagenet/images"][0]
    images = image_ops.with_alpha(tf.constant(np.stack([image] * len(centres))))
    result = image_ops.cutout(images, centres, autoaugment.CUTOUT, autoaugment.BLACK)
    np.testing.assert_array_equal(result[..., :3], expected)


@pytest.mark.parametrize("operator", [image_ops.autocontrast, image_ops.equalize])
def test_an_image_of_one_level_stays_as_it_is(operator):
    flat = tf.fill([1, 8, 8, 4], tf.constant(77, tf.uint8))
    np.testing.assert_array_equal(operator(flat)[..., :3], flat[..., :3])


def test_imagenet_fills_with_grey_what_moves_in():
    numbers = tf.constant([[1, 0, 3, 0, 1, 0]], tf.float64)
    white = tf.fill([1, 8, 8, 4], tf.constant(255, tf.uint8))
    moved = policy_steps.IMAGENET_OPERATORS["Affine"](white, numbers, None).numpy()
    assert np.all(moved[:, :, :5, :3] == 255) and np.all(moved[:, :, 5:, :3] == 128)


def test_policies_are_the_published_ones():
    with open(GOLDEN / "policies.json") as file:
        published = json.load(file)
    tables = {"cifar10_95": policies.CIFAR10, "imagenet_v0_25": policies.IMAGENET_V0}
    for name, policy in tables.items():
        assert json.loads(json.dumps(policy)) == published[name]


@pytest.mark.slow
def test_an_operator_changes_only_the_images_that_drew_it(golden):
    """All 95 sub-policies in one batch, and one after another."""
    policy = autoaugment.flatten(policies.CIFAR10)
    images = np.resize(golden["cifar/images"], [len(policies.CIFAR10), 32, 32, 3])
    rows = 2 * np.arange(len(images)) + [[0], [1]]
    together = take(images, policy, rows).numpy()
    assert not np.array_equal(together[..., :3], images)
    for i in range(len(images)):
        alone = take(images[i : i + 1], policy[2 * i : 2 * i + 2], [[0], [1]])
        np.testing.assert_array_equal(together[i], alone[0], str(policies.CIFAR10[i]))


def test_probability_zero_changes_nothing(golden):
    images = golden["cifar/images"]
    result = take(images, [("Invert", 0.0, 0), ("Rotate", 0.0, 9)], [[0] * 4, [1] * 4])
    np.testing.assert_array_equal(result[..., :3], images)


def view_of(images, name):
    return images if name == "imagenet_strong" else augment.scale(images)


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_follows_from_its_seed(images, name):
    """Whether run at once, as a graph or within `tf.data`; deterministic, as in training."""
    tf.config.experimental.enable_op_determinism()
    view, images = getattr(autoaugment, name), view_of(images, name)
    expected = view(images, [3, 4]).numpy()
    in_graph = tf.function(view)(images, tf.constant([3, 4]))
    seeds = tf.data.Dataset.from_tensor_slices(tf.constant([[3, 4], [3, 4], [3, 5]]))
    first, again, other = seeds.map(lambda seed: view(images, seed), num_parallel_calls=2)
    # A graph may multiply by 1/127.5 instead of dividing; a grey level is 0.008.
    np.testing.assert_allclose(in_graph, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(first, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", VIEWS)
def test_views_stay_in_range_and_differ_between_images(images, name):
    images = view_of(tf.repeat(images[:1], 40, axis=0), name)
    views = getattr(autoaugment, name)(images, [5, 6])
    assert views.shape == images.shape and views.dtype == tf.float32
    assert np.abs(views).max() <= 1
    assert len(np.unique(np.reshape(views, [40, -1]), axis=0)) > 20


def test_randaugment_draws_its_operators_once_for_the_batch():
    """Of one image, two operators that are taken or not make four versions."""
    grey = np.tile(np.uint8(np.arange(64)), [100, 64, 1])[..., np.newaxis]
    policy = [("Invert", 0.5, 1), ("Brightness", 0.5, 9)]
    uniform = np.float32(np.random.default_rng(0).random([2, 100]))
    rows = np.repeat([[0], [1]], 100, axis=1)
    result = take(np.repeat(grey, 3, axis=-1), policy, rows, uniform=uniform)
    assert len(np.unique(np.reshape(result, [100, -1]), axis=0)) == 4


def test_no_grey_level_is_lost():
    levels = tf.reshape(tf.range(256), [1, 16, 16, 1])
    images = tf.repeat(tf.cast(levels, tf.uint8), 3, axis=-1)
    policy = [("Identity", 1.0, 0)]
    view = autoaugment.cifar_view(augment.scale(images), policy, [[0], [0]], [1, 2]).numpy()
    seen = view[view != 0]
    assert len(seen) and np.isin(seen, augment.scale(images)).all()
