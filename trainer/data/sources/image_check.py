"""Which image files can be trained on: each is decoded once before anything is written."""

import contextlib
import contextvars
import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
from tqdm import tqdm

AT_ONCE = 100  # files of megabytes are kept that many at a time
SMALLEST, LARGEST = 8, 10_000  # sides in pixels
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
reading = contextvars.ContextVar("reading", default=True)
COLUMNS = {"height": "int32", "width": "int32", "digest": "int64", "fault": "str"}


def check_all(paths):
    """`check` of each file, as a table of `COLUMNS` in the order of the paths."""
    if not reading.get():
        rows = [there(path) for path in paths]
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    parts = []
    with tqdm(total=len(paths), desc="check images", unit=" images", leave=False) as progress:
        for rows in in_parallel(check, paths):
            parts.append(pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS))
            progress.update(len(rows))
    return pd.concat(parts, ignore_index=True)


@contextlib.contextmanager
def unread():
    """A block in which `check_all` looks at whether files are there, and does not read them."""
    token = reading.set(False)
    try:
        yield
    finally:
        reading.reset(token)


def there(path):
    """What `check` says of a fit image at a path, where there is a file."""
    fault = "" if os.path.isfile(path) else "is not there"
    return SMALLEST, SMALLEST, digest(os.fsencode(path)), fault


def in_parallel(function, items):
    """Lists of what a function says of the items, in order, some of them ahead of time."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ahead = iter(())
        for first in range(0, len(items), AT_ONCE):
            results, ahead = ahead, pool.map(function, items[first : first + AT_ONCE])
            if rows := list(results):
                yield rows
        yield list(ahead)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def check(path, read=read):
    """Decodes a file: its height, width and a hash of its content, and what is wrong with it."""
    from PIL import Image

    try:
        content = read(path)
        with Image.open(io.BytesIO(content)) as image:
            fault = fault_of(image)
            if not fault:
                image.load()
            return image.height, image.width, digest(content), fault
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return 0, 0, 0, f"cannot be decoded ({error})"


def digest(content):
    """A hash of the bytes of an image file, int64."""
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "little", signed=True)


def fault_of(image):
    """What is wrong with an opened image, from its header; empty if nothing is."""
    if image.format not in ("JPEG", "PNG"):
        return f"is {image.format}, not JPEG or PNG"
    if getattr(image, "is_animated", False):
        return "is animated"
    if image.mode not in MODES:
        return f"is of mode {image.mode}, not grey or RGB of 8 bits"
    if not SMALLEST <= min(image.size) <= max(image.size) <= LARGEST:
        sides = "{} x {}".format(*image.size)
        return f"is of {sides} pixels, not of {SMALLEST} to {LARGEST}"
    return ""
