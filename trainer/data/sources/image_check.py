"""Which image files can be trained on: each is decoded once before anything is written."""

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tqdm import tqdm

SMALLEST, LARGEST = 8, 10_000  # sides in pixels
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")


@dataclass(frozen=True)
class Checked:
    """What was found: (H, W) and a hash of the content, or what is wrong with the file."""

    size: tuple | None = None
    digest: str | None = None
    fault: str | None = None


def check_all(paths):
    """`Checked` of each file, in order."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checked = pool.map(check, paths)
        return list(tqdm(checked, "check images", len(paths), unit=" images"))


def check(path):
    """Decodes a file; `Checked`."""
    from PIL import Image

    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            fault = fault_of(image)
            if fault:
                return Checked(fault=fault)
            image.load()
            return Checked(image.size[::-1], hashlib.sha256(content).hexdigest())
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return Checked(fault=f"cannot be decoded ({error})")


def fault_of(image):
    """What is wrong with an opened image, from its header; None if nothing is."""
    if image.format not in ("JPEG", "PNG"):
        return f"is {image.format}, not JPEG or PNG"
    if getattr(image, "is_animated", False):
        return "is animated"
    if image.mode not in MODES:
        return f"is of mode {image.mode}, not grey or RGB of 8 bits"
    if not SMALLEST <= min(image.size) <= max(image.size) <= LARGEST:
        sides = "{} x {}".format(*image.size)
        return f"is of {sides} pixels, not of {SMALLEST} to {LARGEST}"
    return None
