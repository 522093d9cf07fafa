"""What every source gives."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Source:
    """A dataset to prepare.

    Attributes:
      class_names: C names; labels are positions in it.
      image_shape: (H, W, channels); None where a side differs between images.
      splits: By split name, (encoded image, label) pairs in the order of their ids.
      size: How many there are in all splits; None if that is not known.
      labels_are_clean: Whether the labels of train are true labels.
      test_labels_are_clean: The same of test.
      clean_labels: int32 (N,) true labels of train where labels are not, -1 where not known.
      trusted_ids: int64 ids of the training examples that the probe is drawn from; all examples
        whose true label is known unless given.
      published_order: int64 (N,), the place of each training example in the set as published;
        label files that others publish follow it.
      paths: Where each example was read from, by split name, in the order of their ids.
      left_out: (path, reason) of files that are not in it.
      converted: (path, what from) of files that are not stored as they are; of published sets
        known when they are read.
      notes: What was made of the input, a line each.
      duplicates: `pandas.DataFrame` of image (a number), path, label and part, of files whose
        content occurs more than once.
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
    duplicates: pd.DataFrame | None = None
    facts: dict = field(default_factory=dict)


@dataclass(frozen=True)
class SourceKind:
    """A source to choose, and what may be said of it.

    Attributes:
      load: Function from `trainer.settings.data.DataSettings` to a `Source`.
      settings: Names of the `DataSettings` that mean something for it, beside those of noise and
        probe.
      needs_data: Whether `data` must be given.
      labels_are_noisy: Whether its labels are wrong as they come, so that none need be made wrong.
      counted_at_once: Whether its images can be counted before they are read.
    """

    load: Callable
    settings: tuple = ()
    needs_data: bool = False
    labels_are_noisy: bool = False
    counted_at_once: bool = False
