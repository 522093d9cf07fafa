"""Ranks labels by how likely they are wrong. N examples, C classes."""

import numpy as np
import pandas as pd


def rank_labels(given, Q):
    """Scores and suggestions, a row per example, from P(true | image, given) (N, C)."""
    rows, others = np.arange(len(given)), Q.copy()
    others[rows, given] = -1
    suggested = others.argmax(axis=1)
    suspicion = 1 - Q[rows, given]
    return pd.DataFrame(
        {
            "given_label": given,
            "suggested_label": suggested,
            "label_score": Q[rows, given],
            "p_suggested": Q[rows, suggested],
            "is_label_issue": most_suspicious(suspicion, round(suspicion.sum())),
            "corrected": Q[rows, suggested] > Q[rows, given],
        }
    )


def most_suspicious(suspicion, count):
    """Which of N labels are issues, bool (N,): the first `count`."""
    issue = np.zeros(len(suspicion), bool)
    issue[np.argsort(-suspicion, kind="stable")[:count]] = True
    return issue
