"""Features of images without a network: a few hundred numbers each. NumPy only.

Histograms of gradients (Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection",
CVPR 2005), and mean and deviation of the colours of each part.
"""

import numpy as np

from trainer.data import records

SIDE, CELLS, BINS = 32, 4, 9  # pixels, parts along a side, directions


def read_descriptors(dataset_path, split):
    """Features of each image of a split, float (N, D), by id."""
    pixels = records.read_features(dataset_path, split, SIDE)
    return describe(pixels.reshape(len(pixels), SIDE, SIDE, -1))


def describe(images):
    """Features (N, D) of images (N, SIDE, SIDE, channels) in [0, 1]."""
    return np.concatenate([gradient_histograms(images), colour_statistics(images)], axis=1)


def gradient_histograms(images):
    """Histogram of gradient directions in each part, (N, CELLS^2 BINS)."""
    down, across = np.gradient(images.mean(axis=3), axis=(1, 2))
    length, angle = np.hypot(down, across), np.arctan2(down, across) % np.pi
    bins = (angle / np.pi * BINS).astype(int) % BINS
    parts = [split_into_cells(length * (bins == b)).sum(axis=(2, 4)) for b in range(BINS)]
    histograms = np.stack(parts, axis=-1).reshape(len(images), -1)
    return np.sqrt(histograms / (histograms.sum(axis=1, keepdims=True) + 1e-6))


def colour_statistics(images):
    """Mean and deviation of each channel in each part, (N, 2 CELLS^2 channels)."""
    parts = split_into_cells(images)
    both = parts.mean(axis=(2, 4)), parts.std(axis=(2, 4))
    return np.concatenate([values.reshape(len(images), -1) for values in both], axis=1)


def split_into_cells(images):
    """(N, SIDE, SIDE, ...) as (N, CELLS, pixels, CELLS, pixels, ...)."""
    N, _, _, *channels = images.shape
    return images.reshape(N, CELLS, SIDE // CELLS, CELLS, SIDE // CELLS, *channels)
