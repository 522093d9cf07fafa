"""The data that every source gives."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from etils import epy

with epy.lazy_imports():
    import pandas as pd


@dataclass(frozen=True)
class Source:
    """A dataset to prepare.

    Attributes:
      class_names: C names; labels are positions in it.
      image_shape: (H, W, channels); None where a side differs between images.
      splits: By split name, (encoded image, label) pairs in the order of their ids.
      size: Number of examples in all splits; None if not known.
      labels_are_clean: Whether the labels of train are true labels.
      test_labels_are_clean: Whether the labels of test are true labels.
      clean_labels: int32 (N,) true labels of train if the labels are noisy, -1 where not known.
      trusted_ids: int64 ids of the training examples that the probe is drawn from; unless given
        all examples whose true label is known.
      published_order: int64 (N,), the place of each training example in the published set, which
        published label files follow.
      paths: Path of each example, by split name, in the order of their ids.
      left_out: (path, reason) of files that are left out.
      converted: (path, original format) of files that are converted; for published sets it is
        filled as they are read.
      notes: Lines that say how the input was read.
      duplicates: `pandas.DataFrame` of image (a number), path, label and part, of files whose
        content occurs more than once.
      votes: `pandas.DataFrame` of path, label and annotator, of each annotator's label of training
        images, where there are several.
      facts: Further entries of the manifest.
    """

    class_names: tuple
    image_shape: tuple
    splits: dict
    size: int | None = None
    labels_are_clean: bool = False
    test_labels_are_clean: bool = True
    clean_labels: np.ndarray | None = None
    trusted_ids: np.ndarray | None = None
    published_order: np.ndarray | None = None
    paths: dict = field(default_factory=dict)
    left_out: tuple = ()
    converted: tuple | list = ()
    notes: tuple = ()
    duplicates: "pd.DataFrame | None" = None
    votes: "pd.DataFrame | None" = None
    facts: dict = field(default_factory=dict)


@dataclass(frozen=True)
class SourceKind:
    """A source by name, and its properties.

    Attributes:
      load: Function from `trainer.settings.data.DataSettings` to a `Source`.
      settings: Names of the `DataSettings` that it uses, beside those of noise and probe.
      needs_data: Whether `data` must be given.
      labels_are_noisy: Whether its own labels are noisy, so that no noise is added.
      counted_at_once: Whether its images can be counted before they are read.
    """

    load: Callable
    settings: tuple = ()
    needs_data: bool = False
    labels_are_noisy: bool = False
    counted_at_once: bool = False
