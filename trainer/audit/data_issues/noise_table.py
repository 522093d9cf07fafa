"""The estimated noise rates of classes and class pairs as a table. C classes."""

import numpy as np
import pandas as pd

from trainer.audit.data_issues import NOISE_RATES

FEWEST, WIDEST = 20, 0.3  # labels of a class, and a range, that tell something
LEAST = 1.0  # labels that a class pair is expected to have
COLUMNS = {
    "given_label": "the class as it was given",
    "true_label": "the true class; empty for all others together",
    "labels": "number of labels given as this class that the estimate is from",
    "noise_rate": "fraction of them whose true class is this one",
    "low": "lower end of its 90% range",
    "high": "upper end",
    "thin_evidence": f"1 if there are fewer than {FEWEST} labels or the range is wider than"
    f" {WIDEST:g}",
}


def write(directory, rates, given, class_names):
    """Writes the table: a row for each class that labels name, then for pairs of classes.

    Args:
      directory: Where to write.
      rates: `trainer.audit.noise_estimation.NoiseRates`.
      given: int (N,), given labels.
      class_names: C names.
    """
    counts = np.bincount(given, minlength=len(class_names))
    named = np.flatnonzero(counts)
    expected = rates.by_pair[..., 0] * counts[:, np.newaxis]
    a, b = np.nonzero((expected >= LEAST) & ~np.eye(len(counts), dtype=bool))
    order = np.argsort(-expected[a, b], kind="stable")
    a, b = a[order], b[order]
    found = np.concatenate([rates.by_class[named], rates.by_pair[a, b]])
    names = np.array(class_names, object)
    table = pd.DataFrame(found, columns=["noise_rate", "low", "high"]).assign(
        given_label=names[np.concatenate([named, a])],
        true_label=np.concatenate([np.full(len(named), "", object), names[b]]),
        labels=counts[np.concatenate([named, a])],
    )
    thin = (table.labels < FEWEST) | (table.high - table.low > WIDEST)
    table = table.assign(thin_evidence=thin.astype(np.int8))
    table[[*COLUMNS]].to_csv(directory / NOISE_RATES, index=False, float_format="%.6f")


def read(directory):
    """The rows of classes, and those of class pairs."""
    table = pd.read_csv(
        f"{directory}/{NOISE_RATES}",
        dtype={"given_label": "str", "true_label": "str"},
        keep_default_na=False,
    )
    of_class = table.true_label == ""
    return table[of_class], table[~of_class]
