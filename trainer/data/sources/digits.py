"""Digits that come with scikit-learn: nothing to download."""

import io

import numpy as np

from trainer.data.sources.source import Source, SourceKind


def digits(settings):
    """The 1,797 handwritten digits (8x8, 17 grey levels) that scikit-learn carries.

    Test part of the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak, 1998).
    A stratified fifth is held out as test, always the same one.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    images = np.rint(images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=0.2, stratify=labels, random_state=0
    )
    return Source(
        class_names=tuple("0123456789"),
        image_shape=(8, 8, 1),
        splits={
            "train": zip(map(png, train_images), train_labels.tolist(), strict=True),
            "test": zip(map(png, test_images), test_labels.tolist(), strict=True),
        },
        size=len(images),
        labels_are_clean=True,
    )


KIND = SourceKind(digits, counted_at_once=True)


def png(image):
    """The bytes of a PNG file for an (H, W) uint8 image."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()
