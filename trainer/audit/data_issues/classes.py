"""Issues of classes and of groups of similar images. N images, C classes, D features."""

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA

from trainer.audit.data_issues.neighbours import Lab, unit_length

GROUP, MOST_GROUPS = 50, 200  # images of a group on average; number of groups
COMPONENTS = 50  # of the features that groups are made from
SMALLEST_GROUP = 10
WEAK = 0.5  # times the mean probability of a given label
STANDS_OUT = 2.0  # times the mean over pairs
CONFUSED = 0.05  # of the images of two classes


def imbalance(labels, class_names):
    """`pandas.DataFrame` of is_class_imbalance_issue and class_imbalance_score."""
    from cleanlab.datalab.internal.issue_manager.imbalance import ClassImbalanceIssueManager

    manager = ClassImbalanceIssueManager(Lab(labels, class_names))
    manager.find_issues()
    return manager.issues


def weak_groups(X, labels, P):
    """Groups of similar images whose given labels the model rarely predicts.

    Datalab marks the worst group only, if it is below a tenth of the mean; here every group below
    WEAK times the mean is an issue.

    Args:
      X: (N, D) features.
      labels: int (N,), given labels.
      P: (N, C) class probabilities.

    Returns:
      `pandas.DataFrame` of is_underperforming_group_issue and underperforming_group_score, and
      groups, int (N,).
    """
    from cleanlab.datalab.internal.issue_manager import underperforming_group

    count = int(np.clip(len(X) // GROUP, 1, MOST_GROUPS))
    X = unit_length(X)
    if min(X.shape) > COMPONENTS:
        X = PCA(COMPONENTS, svd_solver="randomized", random_state=0).fit_transform(X)
    groups = MiniBatchKMeans(count, random_state=0, n_init=1).fit_predict(X)
    manager = underperforming_group.UnderperformingGroupIssueManager(
        Lab(labels, []), min_cluster_samples=min(SMALLEST_GROUP, np.bincount(groups).max())
    )
    manager.find_issues(pred_probs=P, cluster_ids=groups)
    issues = manager.issues
    weak = issues.underperforming_group_score < WEAK
    return issues.assign(is_underperforming_group_issue=weak), groups


def confused_classes(P, given, class_names):
    """Pairs of classes whose images are often labelled as the other, by cleanlab's joint.

    Args:
      P: (N, C) class probabilities.
      given: int (N,).
      class_names: C names.

    Returns:
      Dictionaries of the two classes, the estimated number of images and their fraction of the
      images of both classes; only of pairs that stand out.
    """
    from cleanlab.dataset import find_overlapping_classes

    pairs = find_overlapping_classes(given, P)
    counts = np.bincount(given, minlength=len(class_names))
    a, b = pairs["Class Index A"].to_numpy(int), pairs["Class Index B"].to_numpy(int)
    images = pairs["Num Overlapping Examples"].to_numpy(float)
    share = images / np.maximum(counts[a] + counts[b], 1)
    marked = (share > CONFUSED) & (share > STANDS_OUT * share.mean() * (len(share) > 1))
    return [
        {
            "classes": [class_names[a[i]], class_names[b[i]]],
            "images": round(float(images[i])),
            "fraction": float(share[i]),
        }
        for i in np.flatnonzero(marked)
    ]
