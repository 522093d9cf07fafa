"""Near duplicates and outliers by the nearest neighbours, with the issue managers of Datalab.

The managers need no Datalab, which would need the package `datasets`: what they ask of one is in
`Lab`. N images, D features.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.decomposition import TruncatedSVD
from sklearn.neighbors import NearestNeighbors

NEIGHBOURS = 10  # as in Datalab
LARGE, COMPONENTS = 20_000, 256  # images above which features are reduced to so many numbers


@dataclass
class Lab:
    """What an issue manager asks of a Datalab: labels int (N,), and the class names."""

    labels: np.ndarray
    class_names: list
    statistics: dict = field(default_factory=dict)

    @property
    def _label_map(self):
        return dict(enumerate(self.class_names))

    def get_info(self, name):
        return {"statistics": self.statistics}[name]


def neighbour_graph(X):
    """Cosine distances to the nearest neighbours of each row of X (N, D), as Datalab has them."""
    X = unit_length(X)
    if len(X) > LARGE and X.shape[1] > COMPONENTS:
        X = unit_length(TruncatedSVD(COMPONENTS, random_state=0).fit_transform(X))
    count = min(NEIGHBOURS, len(X) - 1)
    # Of unit vectors; the library has a fast search in little memory for this distance only.
    nearest = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(X)
    distances, found = nearest.kneighbors()
    starts = np.arange(0, len(X) * count + 1, count)
    cosine = (distances.astype(np.float64) ** 2 / 2).ravel()
    return csr_matrix((cosine, found.ravel(), starts), shape=(len(X), len(X)))


def unit_length(X):
    X = np.asarray(X, np.float32)
    return X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-12)


def near_duplicates(graph, threshold):
    """Near duplicates, nearer than `threshold` times the median distance to a nearest neighbour.

    Returns:
      `pandas.DataFrame` of is_near_duplicate_issue and near_duplicate_score, and pairs (n, 2).
    """
    from cleanlab.datalab.internal.issue_manager.duplicate import NearDuplicateIssueManager

    manager = NearDuplicateIssueManager(Lab(None, []), "cosine", threshold, NEIGHBOURS)
    manager.find_issues(knn_graph=graph)
    pairs = [(i, j) for i, others in enumerate(manager.near_duplicate_sets) for j in others]
    return manager.issues, np.array(pairs, int).reshape(-1, 2)


def outliers(graph):
    """`pandas.DataFrame` of is_outlier_issue and outlier_score."""
    from cleanlab.datalab.internal.issue_manager.outlier import OutlierIssueManager

    manager = OutlierIssueManager(Lab(None, []), k=graph.nnz // graph.shape[0], metric="cosine")
    manager.find_issues(knn_graph=graph)
    return manager.issues


def off_topic(X, labels):
    """Whether an image is far from the mean of every class, by the rule of Datalab for outliers.

    Images off topic may be near to each other, so their neighbours do not tell.

    Args:
      X: (N, D) embeddings.
      labels: int (N,).

    Returns:
      `pandas.DataFrame` of is_off_topic_issue and off_topic_score.
    """
    from cleanlab.datalab.internal.issue_manager.outlier import OutlierIssueManager

    X = unit_length(X)
    means = unit_length([X[labels == c].mean(axis=0) for c in np.unique(labels)])
    distances = np.clip(1 - (X @ means.T).max(axis=1), 0, None)
    low, high = np.percentile(distances, [25, 75])
    scale = 1 / OutlierIssueManager.DEFAULT_THRESHOLDS["features"] - 1
    scores = np.exp(-distances / max(np.median(distances), 1e-12))
    far = distances > high + scale * (high - low)
    return pd.DataFrame({"is_off_topic_issue": far, "off_topic_score": scores})
