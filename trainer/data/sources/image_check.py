"""Checks whether image files can be trained on, and makes the bytes that are stored.

A JPEG or PNG file that TensorFlow reads as people see it is stored unchanged. Pillow converts every
other file once: rotated or mirrored as EXIF says, 8 bits, transparent parts on white, grey or RGB.
The result is PNG, or JPEG of high quality for a large image in a format of photographs.
"""

import contextlib
import contextvars
import hashlib
import io
import os
import re
import struct
from concurrent.futures import ThreadPoolExecutor

from etils import epy
from tqdm import tqdm

from trainer.data.sources import pixels

with epy.lazy_imports():
    import pandas as pd

AT_ONCE = 100  # this many files, of megabytes each, are in memory at a time
SMALLEST, LARGEST = 8, 10_000  # sides in pixels
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF")
KEPT = ("JPEG", "MPO", "PNG")  # MPO is JPEG followed by a second JPEG, such as a preview
KEPT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
LOSSY, LARGE, QUALITY = ("JPEG", "MPO", "WEBP", "AVIF"), 1 << 20, 95  # LARGE in pixels
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
SPECIAL = "is no file, but a device or pipe"
ORIENTATION = 0x0112  # the EXIF tag
TURNS = {  # `PIL.Image.Transpose` for each orientation
    **{2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"},
    **{6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90"},
}
reading = contextvars.ContextVar("reading", default=True)
COLUMNS = {
    **{"height": "int32", "width": "int32", "digest": "int64"},
    **{"fault": "str", "converted": "str"},
}


class UnfitError(Exception):
    """An image file cannot be trained on; the message says why."""


def check_all(paths):
    """`check` of each file, as a table of `COLUMNS` in the order of the paths."""
    if not reading.get():
        rows = [there(path) for path in paths]
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    import tensorflow  # noqa: F401, imported by one thread before many need it

    parts = []
    with tqdm(total=len(paths), desc="check images", unit=" images", leave=False) as progress:
        for rows in in_parallel(check, paths):
            parts.append(pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS))
            progress.update(len(rows))
    return pd.concat(parts, ignore_index=True)


@contextlib.contextmanager
def unread():
    """A `with` block in which `check_all` only checks that files exist, and does not read them."""
    token = reading.set(False)
    try:
        yield
    finally:
        reading.reset(token)


def there(path):
    """The result of `check` for a good image, if there is a file at the path."""
    fault = "" if os.path.isfile(path) else "is not there"
    return SMALLEST, SMALLEST, digest(os.fsencode(path)), fault, ""


def in_parallel(function, items):
    """Results of a function for the items, in order; threads compute some of them ahead."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ahead = iter(())
        for first in range(0, len(items), AT_ONCE):
            results, ahead = ahead, pool.map(function, items[first : first + AT_ONCE])
            if rows := list(results):
                yield rows
        yield list(ahead)


def read(path):
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise UnfitError(SPECIAL)  # it might never end
    with open(path, "rb") as file:
        return file.read()


def check(path, read=read):
    """Decodes a file.

    Returns:
      Height and width as people see it, a hash of its content, its fault, and its conversion.
    """
    try:
        content = read(path)
        image, differs = upright(content)
    except (UnfitError, OSError) as error:
        return 0, 0, 0, fault(error), ""
    return image.height, image.width, digest(content), "", differs


def stored(path, read=read):
    """The bytes to store, JPEG or PNG, of a file without a fault."""
    return fitted(read(path))


def fitted(content):
    """The bytes of a JPEG or PNG file that show what people see in a file of any format.

    Raises:
      UnfitError: It cannot be decoded, or is no image to train on.
    """
    return converted(content)[0]


def converted(content):
    """The bytes of `fitted`, and the conversion as `upright` describes it."""
    image, differs = upright(content)
    if not differs:
        return content, ""
    file, large = io.BytesIO(), image.width * image.height > LARGE
    if large and differs.startswith(LOSSY):
        image.save(file, "JPEG", quality=QUALITY, subsampling=0)
    else:
        image.save(file, "PNG")
    return file.getvalue(), differs


def upright(content):
    """Decodes a file as people see it.

    Returns:
      A `PIL.Image.Image`, and what has to be converted, such as "JPEG of EXIF orientation 6"; empty
      if TensorFlow sees the same in the file as it is.

    Raises:
      UnfitError: As `fitted`.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            check_header(image)
            before = orientation(image)
            image.load()
            turned = max(before, orientation(image))  # PNG may have it at the end
            if pixels.is_deep_png(image, content):
                check_tensorflow(content, image)
            plain, differs = difference(image, content, turned)
            if not differs:
                check_tensorflow(content, image)
                return image, ""
            if orientation(image) > 1:  # TIFF is turned by now
                plain = plain.transpose(Image.Transpose[TURNS[turned]])
            plain.info = {}  # saving it would write some of that
            return plain, differs
    except Image.UnidentifiedImageError as error:
        if content[4:8] == b"ftyp" and content[8:12] in HEIC:
            raise UnfitError("is HEIC; save it as JPEG or PNG") from error
        raise UnfitError("cannot be decoded (it is no image of a known format)") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnfitError(f"cannot be decoded ({reason(error)})") from error


def check_header(image):
    """Raises UnfitError if an opened image is none to train on."""
    if image.mode in ("I", "F") and not pixels.is_scaled(image):
        raise UnfitError(f"is of 32 bits ({image.format} of mode {image.mode}); save it with 8")
    if not SMALLEST <= min(image.size) <= max(image.size) <= LARGEST:
        sides = "{} x {}".format(*image.size)
        raise UnfitError(f"is not of {SMALLEST} to {LARGEST} pixels a side (but {sides})")


def difference(image, content, turned):
    """A loaded image as people see it, apart from its orientation, and how TensorFlow's differs.

    Args:
      image: `PIL.Image.Image`.
      content: The file it was read from.
      turned: Its orientation.

    Returns:
      An image, grey or RGB of 8 bits, and a few words on the difference; empty if there is none.
    """
    deep, plain = pixels.depth(image, content)
    found = [deep] if deep and (deep != "16 bits" or image.mode not in KEPT_MODES) else []
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        found.append("which the first of several frames is taken")
    if not deep and image.mode not in KEPT_MODES:
        found.append(f"mode {image.mode}")
    if pixels.transparent(plain):
        found.append("transparent parts, laid on white")
        plain = pixels.on_white(plain)
    if turned > 1:
        found.append(f"EXIF orientation {turned}")
    if not found and image.format in KEPT:
        return image, ""
    plain = plain.convert("L" if plain.mode in ("1", "L", "LA") else "RGB")
    return plain, " of ".join([image.format, ", of ".join(found)]) if found else image.format


def orientation(image):
    """EXIF orientation of an opened image, 1 to 8; 1 if it cannot be read."""
    try:
        turned = image.getexif().get(ORIENTATION)
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error):
        return 1
    return turned if turned in TURNS else 1


def orientation_of(content):
    """EXIF orientation of a file, 1 to 8; 1 if it is no image."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return orientation(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return 1


def check_tensorflow(content, image):
    """Raises UnfitError unless the decoder that training uses reads a JPEG or PNG file."""
    import tensorflow as tf

    decode = tf.io.decode_png if image.format == "PNG" else tf.io.decode_jpeg
    try:
        with tf.device("CPU"):
            shape = decode(content, channels=3).shape
    except tf.errors.OpError as error:
        raise UnfitError(f"cannot be decoded by TensorFlow ({reason(error)})") from error
    if tuple(shape) != (image.height, image.width, 3):
        raise UnfitError(f"cannot be decoded by TensorFlow (it finds {shape[1]} x {shape[0]})")


def fault(error):
    """The text of an error: of an UnfitError, or that the file cannot be read at all."""
    return str(error) if isinstance(error, UnfitError) else f"cannot be read ({reason(error)})"


def reason(error):
    """The first line of an error, without the name of the operation that raised it."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    line = text.splitlines()[0]
    return re.sub(r"^\{\{.*?\}\} | \[Op:.*", "", line)


def digest(content):
    """A hash of the bytes of an image file, int64."""
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "little", signed=True)


def is_image(path):
    """Whether a file on this machine begins as an image does."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS):
            return True
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
