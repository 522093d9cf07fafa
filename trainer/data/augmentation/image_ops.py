"""Operators of AutoAugment and RandAugment on whole batches, equal to Pillow's to the grey level.

Images are uint8 (n, H, W, 4): red, green, blue and alpha, which is 0 where there is no image (any
more) and 255 elsewhere. n may be 0, H and W are static, and numbers such as `factor` are float64
(n,), one for each image.

As in Pillow, operators without alpha make the image `opaque`: a gap then becomes a colour.

Operators that choose or change whole pixels work on `packed` images: int32 (n, H, W), one number
for each pixel, which is up to twenty times faster than four. Alpha is in the highest bits.
Operators that sum or look up channels work on planes, (n, H, W) each, for the same reason.
"""

import tensorflow as tf

GREY_WEIGHTS = (19595.0, 38470.0, 7471.0)  # ITU-R 601-2 luma, in 1/65536
NOTHING = (0, 0, 0, 0)
ALPHA = -(2**24)  # the bits of a packed pixel's alpha, as int32


def packed(images):
    return tf.bitcast(images, tf.int32)


def unpacked(pixels):
    return tf.bitcast(pixels, tf.uint8)


def packed_colour(colour):
    return packed(tf.constant(colour, tf.uint8))


def planes(images, dtype=tf.int32):
    """Red, green and blue of images with or without alpha: three times (n, H, W)."""
    return [tf.cast(plane, dtype) for plane in tf.unstack(images, axis=-1)[:3]]


def merged(red, green, blue, alpha=ALPHA):
    """Images from three planes, int32 (n, H, W), and alpha as the bits of a packed pixel."""
    return unpacked(red + 256 * green + 65536 * blue + alpha)


def with_alpha(images):
    """Adds an alpha channel of 255 to images (n, H, W, 3)."""
    return merged(*planes(images))


def opaque(images):
    return unpacked(packed(images) | ALPHA)


def invert(images):
    return opaque(255 - images)


def posterize(images, bits):
    """Keeps the `bits` highest bits of each value, and the highest one in any case."""
    shift = per_image(tf.minimum(8 - bits, 7), tf.uint8)
    return opaque(tf.bitwise.left_shift(tf.bitwise.right_shift(images, shift), shift))


def solarize(images, threshold):
    """Inverts values from `threshold` on, which may be 256."""
    change = tf.where(threshold < 256, 255, 0)
    inverted = images >= per_image(tf.minimum(threshold, 255), tf.uint8)
    return opaque(images ^ (per_image(change, tf.uint8) * tf.cast(inverted, tf.uint8)))


def solarize_add(images, addition):
    """Adds to values below 128."""
    values = tf.cast(images, tf.int32)
    added = values + per_image(addition) * tf.cast(values < 128, tf.int32)
    return opaque(tf.cast(tf.minimum(added, 255), tf.uint8))


def autocontrast(images):
    """Stretches each channel to the range 0 to 255; one with a single level stays as it is."""
    return merged(*map(stretched, planes(images)))


def stretched(plane):
    low, high = (
        tf.cast(extreme(plane, axis=(1, 2)), tf.float64)[:, tf.newaxis]
        for extreme in (tf.reduce_min, tf.reduce_max)
    )
    level = tf.range(256, dtype=tf.float64)
    # Exactly Pillow's operations: saving one by algebra changes some whole numbers.
    factor = 255 / tf.maximum(high - low, 1)
    curve = tf.clip_by_value(level * factor + -low * factor, 0, 255)
    return along_curves(numbered(plane), tf.where(high > low, curve, level))


def equalize(images):
    """Makes the histogram of each channel as flat as a map of grey levels can."""
    return merged(*map(flattened, planes(images)))


def flattened(plane):
    bins, levels = 256 * tf.shape(plane)[0], numbered(plane)
    count = tf.math.bincount(tf.reshape(levels, [-1]), minlength=bins, maxlength=bins)
    count = tf.reshape(count, [-1, 256])
    darker = tf.cumsum(count, axis=1, exclusive=True)
    darker_than_brightest = tf.reduce_max(tf.where(count > 0, darker, 0), axis=1, keepdims=True)
    step = darker_than_brightest // 255
    curve = tf.minimum((darker + step // 2) // tf.maximum(step, 1), 255)
    return along_curves(levels, tf.where(step > 0, curve, tf.range(256)))


def numbered(plane):
    """Grey levels numbered through all images."""
    return plane + 256 * tf.range(tf.shape(plane)[0])[:, tf.newaxis, tf.newaxis]


def along_curves(levels, curves):
    """A plane from its `numbered` levels, by the value for each, (n, 256) in 0..255."""
    return taken(tf.reshape(tf.cast(curves, tf.int32), [-1]), levels)


def color(images, factor):
    """From greyscale (factor 0) over the image (1) to stronger colours."""
    return blend([grey(images)] * 3, images, factor)


def contrast(images, factor):
    """From the mean grey (factor 0) over the image (1) to more contrast."""
    mean = tf.reduce_mean(tf.cast(grey(images), tf.float64), axis=(1, 2), keepdims=True)
    return blend([tf.cast(tf.floor(mean + 0.5), tf.float32)] * 3, images, factor)


def brightness(images, factor):
    """From black (factor 0) over the image (1) to brighter."""
    return blend([0.0] * 3, images, factor)


def sharpness(images, factor):
    """From smoothed (factor 0) over the image (1) to sharper; the outermost pixels stay."""
    return blend(planes(smooth(images), tf.float32), images, factor)


def grey(images):
    """Luma, a whole number: float32 (n, H, W)."""
    # Exact, since all sums of products of the weights are whole numbers below 2^24.
    parts = zip(GREY_WEIGHTS, planes(images, tf.float32), strict=True)
    return tf.floor((sum(weight * plane for weight, plane in parts) + 32768) / 65536)


def smooth(images):
    """The rounded mean of 3x3 pixels, the middle one counted 5 times; outermost pixels stay."""
    H, W = images.shape[1:3]
    values = tf.cast(images, tf.int32)
    total = values[:, :-2] + values[:, 1:-1] + values[:, 2:]
    total = total[:, :, :-2] + total[:, :, 1:-1] + total[:, :, 2:] + 4 * values[:, 1:-1, 1:-1]
    border = [[0, 0], [1, 1], [1, 1], [0, 0]]
    inner = tf.pad(tf.ones([1, H - 2, W - 2], tf.bool), border[:3])
    smoothed = tf.pad(tf.cast((2 * total + 13) // 26, tf.uint8), border)
    return unpacked(tf.where(inner, packed(smoothed), packed(images)))


def blend(degenerate, images, factor):
    """Values `degenerate + factor (images - degenerate)`, cut to 0..255 and truncated; alpha stays.

    Args:
      degenerate: Three times float32, of a shape that broadcasts to (n, H, W).
      images: uint8 (n, H, W, 4).
      factor: float64 (n,).
    """
    factor = tf.cast(factor, tf.float32)[:, tf.newaxis, tf.newaxis]
    pairs = zip(degenerate, planes(images, tf.float32), strict=True)
    blended = [start + factor * (plane - start) for start, plane in pairs]
    blended = [tf.cast(tf.clip_by_value(plane, 0, 255), tf.int32) for plane in blended]
    return merged(*blended, alpha=packed(images) & ALPHA)


def affine(images, coefficients, fill=NOTHING):
    """Output (x, y) takes the input pixel that covers the point (a x + b y + c, d x + e y + f).

    Pixels are squares of side 1 whose middle is at (0.5, 0.5) for the first.

    Args:
      images: uint8 (n, H, W, 4).
      coefficients: float64 (n, 6), a to f; rounded to 1/65536 as Pillow does.
      fill: Four values for pixels that come from outside.

    Returns:
      uint8 (n, H, W, 4).
    """
    H, W = images.shape[1:3]
    a, b, c, d, e, f = tf.unstack(coefficients[..., tf.newaxis, tf.newaxis], axis=1)
    columns, rows = tf.range(W), tf.range(H)[:, tf.newaxis]

    def source(a, b, c):
        a, b, c = (
            tf.cast(tf.floor(v * 65536 + 0.5), tf.int32) for v in (a, b, c + a * 0.5 + b * 0.5)
        )
        return tf.bitwise.right_shift(a * columns + b * rows + c, 16)

    x, y = source(a, b, c), source(d, e, f)
    inside = (x >= 0) & (x < W) & (y >= 0) & (y < H)
    first = H * W * tf.range(tf.shape(images)[0])[:, tf.newaxis, tf.newaxis]
    index = tf.where(inside, first + W * y + x, 0)
    pixels = taken(tf.reshape(packed(images), [-1]), index)
    return unpacked(tf.where(inside, pixels, packed_colour(fill)))


def cutout(images, centre, half, fill=NOTHING):
    """Fills a square, as far as it lies within the image.

    Args:
      images: uint8 (n, H, W, 4).
      centre: int32 (n, 2), column and row.
      half: Half of the side, a number or float64 (n,): the square goes from `centre - half` to
        `centre + half - 1`.
      fill: Four values.
    """
    H, W = images.shape[1:3]
    half = tf.reshape(tf.cast(half, tf.int32), [-1, 1])
    columns, rows = tf.range(W) - centre[:, :1], tf.range(H) - centre[:, 1:]
    columns = (columns >= -half) & (columns < half)
    rows = (rows >= -half) & (rows < half)
    square = rows[:, :, tf.newaxis] & columns[:, tf.newaxis, :]
    return unpacked(tf.where(square, packed_colour(fill), packed(images)))


def taken(values, index):
    """Entries of a vector, for an index of any shape; `tf.gather` is slower."""
    return tf.gather_nd(values, index[..., tf.newaxis])


def per_image(numbers, dtype=tf.int32):
    """One number for each image, as (n, 1, 1, 1) of `dtype`."""
    return tf.cast(numbers, dtype)[:, tf.newaxis, tf.newaxis, tf.newaxis]
