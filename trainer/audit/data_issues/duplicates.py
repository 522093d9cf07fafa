"""Copies of one image: what they have in common, and what not. N images."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def same_content(digests):
    """Images of the same content: is_exact_duplicates_issue, exact_duplicates_score, and pairs.

    The score is 1 over the number of copies, as in cleanvision.

    Args:
      digests: `pandas.Series` (N,) with index 0..N-1.
    """
    first = digests.groupby(digests).transform(lambda copies: copies.index[0]).astype(int)
    counts = digests.map(digests.value_counts()).to_numpy()
    issues = {"is_exact_duplicates_issue": counts > 1, "exact_duplicates_score": 1 / counts}
    pairs = np.stack([first.to_numpy(), np.arange(len(digests))], axis=1)
    return pd.DataFrame(issues), pairs[pairs[:, 0] != pairs[:, 1]]


def that_can_be_seen(near, pairs, unseen):
    """Near duplicates without pairs of two images in which little is seen, which all look alike.

    Args:
      near: `pandas.DataFrame` of is_near_duplicate_issue and near_duplicate_score.
      pairs: int (n, 2).
      unseen: bool (N,).

    Returns:
      `near` and `pairs`.
    """
    pairs = pairs[~unseen[pairs].all(axis=1)]
    copies = np.isin(np.arange(len(near)), pairs)
    flags = near.is_near_duplicate_issue & copies
    scores = near.near_duplicate_score.where(copies | ~near.is_near_duplicate_issue, 1.0)
    return near.assign(is_near_duplicate_issue=flags, near_duplicate_score=scores), pairs


def sets_of(pairs, count):
    """A number for each set of copies, int (N,), in the order of their first image; -1 for none."""
    links = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(count, count))
    _, sets = connected_components(links, directed=False)
    sets = pd.Series(sets)
    alone = sets.map(sets.value_counts()) == 1
    numbers = pd.Series(-1, sets.index)
    numbers[~alone] = pd.factorize(sets[~alone])[0]
    return numbers.to_numpy()


def differences(sets, labels, parts, scores):
    """Sets with several labels, and sets in several of train, test and trusted.

    Args:
      sets: int (N,), of `sets_of`.
      labels: (N,).
      parts: (N,), train, test or trusted.
      scores: (N,), of near duplicates; 0 for a copy without a difference.

    Returns:
      `pandas.DataFrame` with columns of the issues label_conflict and leakage.
    """
    table, found = pd.DataFrame({"label_conflict": labels, "leakage": parts}), {}
    for issue in table:
        several = table[issue].groupby(sets).transform("nunique").to_numpy() > 1
        found[f"is_{issue}_issue"] = several & (sets >= 0)
        found[f"{issue}_score"] = np.where(found[f"is_{issue}_issue"], scores, 1.0)
    return pd.DataFrame(found)
