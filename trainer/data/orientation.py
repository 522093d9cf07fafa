"""Image files as people see them, in TensorFlow operations alone, for a graph that is exported.

JPEG is rotated or mirrored as its EXIF says, and transparent PNG is laid on white.
"""

import tensorflow as tf

TAG, EXIF, START_OF_SCAN = 0x0112, b"Exif\0\0", 0xDA


PNG = b"\x89PNG\r\n\x1a\n"


def as_seen(encoded):
    """The file itself, or a PNG file of what people see in it if TensorFlow decodes it otherwise.

    Args:
      encoded: string scalar, the content of an image file.

    Returns:
      string scalar.
    """
    orientation = of_jpeg(encoded)

    def turned():
        return tf.io.encode_png(turn(tf.io.decode_jpeg(encoded), orientation), compression=1)

    is_png = tf.strings.substr(encoded, 0, len(PNG)) == PNG
    flat = tf.cond(is_png, lambda: on_white(encoded), lambda: encoded)
    return tf.cond(orientation > 1, turned, lambda: flat)


def on_white(encoded):
    """The PNG file itself, or one on white if it is transparent."""
    pixels = tf.io.decode_png(encoded)  # with all four, alpha would be made up
    last = tf.shape(pixels)[2] - 1

    def laid():
        colour, alpha = (
            tf.cast(part, tf.float32) for part in (pixels[..., :last], pixels[..., last:])
        )
        seen = tf.round((colour * alpha + 255 * (255 - alpha)) / 255)
        return tf.io.encode_png(tf.cast(seen, tf.uint8), compression=1)

    return tf.cond(last % 2 == 1, laid, lambda: encoded)


def turn(image, orientation):
    """An image (H, W, channels) as people see it, (W, H, channels) for 5 to 8."""
    image = tf.cond(orientation > 4, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    flips = [tf.reduce_any(orientation == cases) for cases in ([3, 4, 7, 8], [2, 3, 6, 7])]
    return tf.raw_ops.Reverse(tensor=image, dims=[*flips, False])


def of_jpeg(encoded):
    """EXIF orientation, 1 to 8, int64 scalar; 1 if the file is no JPEG, or has none."""
    data = tf.concat([tf.io.decode_raw(encoded, tf.uint8), tf.zeros(16, tf.uint8)], axis=0)
    last = tf.size(data, tf.int64) - 1

    def number(places, weights):
        """The number in the bytes at int64 places; places behind the end are left out."""
        found = tf.gather(data, tf.clip_by_value(places, 0, last))
        return tf.reduce_sum(tf.cast(found, tf.int64) * weights, axis=-1)

    def at(place, size, big=True):
        order = tf.range(size, dtype=tf.int64)
        shifts = 8 * tf.where(big, size - 1 - order, order)
        weights = tf.bitwise.left_shift(tf.ones_like(shifts), shifts)
        return number(place[..., tf.newaxis] + order, weights)

    def is_exif(place):
        return (at(place, 2) == 0xFFE1) & (at(place + 4, 6) == int.from_bytes(EXIF, "big"))

    def goes_on(place):
        marker = at(place, 2)
        ends = (marker < 0xFF01) | (marker == 0xFF00 + START_OF_SCAN) | is_exif(place)
        return (place < last) & ~ends

    def following(place):
        length = tf.where(at(place, 2) != 0xFFFF, 2 + at(place + 2, 2), 1)  # FF FF is padding
        return [place + length]

    (segment,) = tf.while_loop(goes_on, following, [tf.constant(2, tf.int64)])
    header = segment + 10
    big = at(header, 2) == int.from_bytes(b"MM", "big")
    directory = header + at(header + 4, 4, big)
    entries = directory + 2 + 12 * tf.range(tf.minimum(at(directory, 2, big), last // 12))
    values = tf.boolean_mask(at(entries + 8, 2, big), at(entries, 2, big) == TAG)
    value = tf.concat([values, tf.ones(1, tf.int64)], axis=0)[0]
    is_jpeg = at(tf.constant(0, tf.int64), 2) == 0xFFD8
    return tf.where(is_jpeg & is_exif(segment) & (value > 1) & (value < 9), value, 1)
