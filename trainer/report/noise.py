"""The page on label noise: the transition matrix that was requested, and the realised one."""

from pathlib import Path

import numpy as np

from trainer import artifacts
from trainer.data import records
from trainer.report import charts, page

PICTURES = {"Requested": "transition.npy", "Realised": "realised.npy"}
AXES = {"across": "given label", "down": "published label"}


def write(dataset_path, noisy_labels_path, file):
    """Writes the page of noisy labels.

    Args:
      dataset_path: Directory of the prepared dataset.
      noisy_labels_path: Directory of its noisy labels.
      file: The HTML file to write.
    """
    dataset = records.read_manifest(dataset_path)
    noisy = artifacts.read(noisy_labels_path, artifacts.NOISY_LABELS)
    names = dataset["class_names"]
    matrices = {caption: np.load(Path(noisy_labels_path) / f) for caption, f in PICTURES.items()}
    page.write_page(
        file,
        "noise.html.jinja",
        title="Label noise",
        sentence=sentence(noisy, dataset["num_examples"]["train"]),
        pictures={c: charts.heat_map(T, names, **AXES, salt=c) for c, T in matrices.items()},
        large=len(names) > charts.MANY,
    )


def sentence(noisy, count):
    """The kind of noise and how many of `count` labels are wrong, from the manifest `noisy`."""
    noise = f"Noise {noisy['noise']}, ratio {noisy['noise_ratio']:g}: "
    if noisy["wrong_labels"] is None:
        return noise + f"how many of the {count:,} labels are wrong is not known."
    return noise + f"{noisy['wrong_labels']:.1%} of the {count:,} labels are wrong."
