"""Pixels as people see them: 8 bits a sample, and nothing transparent.

Transparent parts are laid on white, so that their hidden colours do not show. Samples of more bits
are scaled by the range that the file declares.
"""

import struct

import numpy as np

DEEP_MODES = ("I;16", "I;16L", "I;16B")  # grey of 16 bits; Pillow reads 8 bits of other images
# Tags of TIFF: bits a sample, largest sample, and what is 0, white (0) or black.
BITS, HIGHEST, PHOTOMETRIC = 258, (281, 341), 262
DARK = 1 << 14  # an image below it becomes very dark, in the lowest quarter of the range


def transparent(image):
    """Whether some pixel of a loaded image is transparent, wholly or in part."""
    if image.mode in DEEP_MODES or not image.has_transparency_data:
        return False
    return image.convert("RGBA").getchannel("A").getextrema()[0] < 255


def on_white(image):
    """A loaded image laid on white, RGB, or grey if it is grey."""
    from PIL import Image

    white = Image.new("RGBA", image.size, "white")
    laid = Image.alpha_composite(white, image.convert("RGBA"))
    return laid.convert("L" if image.mode in ("1", "L", "LA") else "RGB")


def is_deep_png(image, content):
    """Whether a file is PNG of 16 bits a sample."""
    return image.format == "PNG" and content[24:25] == b"\x10"


def is_scaled(image):
    """Whether a file is one that Pillow scales to 16 bits of the 32 that it keeps them in."""
    return image.format == "PPM" and image.mode == "I"


def samples(image, content):
    """Samples of 16 bits, uint16 (H, W) or (H, W, channels); None if the file has others.

    Args:
      image: A loaded `PIL.Image.Image`.
      content: The file it was read from.
    """
    if image.mode in DEEP_MODES:
        values = np.asarray(image).astype(np.uint16)
        return ~values if image.format == "TIFF" and image.tag_v2.get(PHOTOMETRIC) == 0 else values
    if is_scaled(image):
        return np.asarray(image).astype(np.uint16)
    if is_deep_png(image, content):
        import tensorflow as tf

        with tf.device("CPU"):
            return tf.io.decode_png(content, dtype=tf.uint16).numpy()
    if image.format == "TIFF" and max(image.tag_v2.get(BITS, (8,))) > 8:
        return np.asarray(image).astype(np.uint16) << 8
    return None


def used_bits(image, content, values):
    """How many of 16 bits the samples use, as the file declares, if that is plausible."""
    declared = 16
    if image.format == "PNG":
        declared = significant_bits(content)
    elif image.format == "TIFF":
        tags = [np.max(image.tag_v2.get(tag, 0)) for tag in HIGHEST]
        full = [n for n in range(8, 16) if (1 << n) - 1 in tags]
        declared = min([*image.tag_v2.get(BITS, (16,)), *full])
    return declared if declared >= 8 and not colours(values).max() >> declared else 16


def significant_bits(content):
    """The largest number in the chunk sBIT of a PNG file; 16 if it has none."""
    place = 8
    while content[place + 4 : place + 8] not in (b"IDAT", b"IEND", b""):
        length = struct.unpack(">I", content[place : place + 4])[0]
        if content[place + 4 : place + 8] == b"sBIT":
            return max(content[place + 8 : place + 8 + length], default=16)
        place += length + 12
    return 16


def depth(image, content):
    """The conversion of 16-bit samples in a few words, and the 8-bit image; "" if it has none."""
    from PIL import Image

    values = samples(image, content)
    if values is None:
        return "", image
    bits, highest = used_bits(image, content, values), colours(values).max()
    what = f"{bits} bits"
    if bits == 16 and highest < DARK:
        what += f" that becomes dark (no value above {highest}; scale them to 65535)"
    seen = (colours(values) >> bits - 8).astype(np.uint8)
    alpha = opacity(image, values)
    if alpha is not None:
        seen = np.concatenate([seen.reshape(*values.shape[:2], -1), alpha], axis=2)
    return what, Image.fromarray(seen.squeeze(2) if seen.shape[2:] == (1,) else seen)


def opacity(image, values):
    """uint8 (H, W, 1) of samples that have it, or where one colour is transparent; else None."""
    if values.ndim == 3 and values.shape[2] in (2, 4):
        return (values[..., -1:] >> 8).astype(np.uint8)
    if image.format == "PNG" and (clear := image.info.get("transparency")) is not None:
        flat = values.reshape(*values.shape[:2], -1)
        return np.uint8(255) * (flat != np.array(clear)).any(axis=2, keepdims=True)
    return None


def colours(values):
    """Samples of the colours, without alpha."""
    return values[..., :-1] if values.ndim == 3 and values.shape[2] in (2, 4) else values
