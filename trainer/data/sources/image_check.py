"""Which image files can be trained on: each is decoded once before anything is written."""

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tqdm import tqdm

AT_ONCE = 1_000
SMALLEST, LARGEST = 8, 10_000  # sides in pixels
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found: (H, W) and a hash of the content, or what is wrong with the file."""

    size: tuple | None = None
    digest: bytes | None = None
    fault: str | None = None


def check_all(paths):
    """`Checked` of each file, in order."""
    found = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in tqdm(range(0, len(paths), AT_ONCE), "check images", unit=f" x {AT_ONCE}"):
            found += pool.map(check, paths[first : first + AT_ONCE])
    return found


def check(path):
    """Decodes a file; `Checked`."""
    from PIL import Image

    try:
        with open(path, "rb") as file:
            content = file.read()
        with Image.open(io.BytesIO(content)) as image:
            fault = fault_of(image)
            if fault:
                return Checked(fault=fault)
            image.load()
            return Checked(image.size[::-1], hashlib.sha256(content).digest())
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
