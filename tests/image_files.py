"""Small image files in the folders of two classes."""

import numpy as np
from PIL import Image

CLASSES = ("tabby cat", "ölfass")


def write_images(root, count, size=(40, 30), seed=0, suffix="jpg"):
    """`count` files in the folder of each class."""
    rng = np.random.default_rng(seed)
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(256, size=(size[1], size[0], 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i:03d}.{suffix}")
    return root
