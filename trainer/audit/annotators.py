"""Labels of several annotators, weighed by the model: CROWDLAB (Goh et al., 2022) of cleanlab.

<label_audit>/
  annotators.csv         annotator, annotator_quality, agreement_with_consensus, worst_class and
                         num_examples_labeled, the least reliable annotator first
  consensus_labels.csv   id, path, given_label, consensus_label, consensus_quality_score,
                         annotator_agreement and num_annotations, the least certain first

N audited examples, C classes, M annotators.
"""

import warnings

import numpy as np
import pandas as pd

from trainer.data import records
from trainer.data.sources.annotators import MOST_CELLS

ANNOTATORS, CONSENSUS = "annotators.csv", "consensus_labels.csv"
TOO_MANY = (
    f"the quality of annotators is not estimated above {MOST_CELLS:,} images times annotators"
)
OF_IMAGES = ["consensus_label", "consensus_quality_score", "annotator_agreement", "num_annotations"]


def write(directory, dataset_path, ids, given, P, class_names):
    """Writes both tables, if images have labels of several annotators.

    Args:
      directory: Where to write.
      dataset_path: Directory of the prepared dataset.
      ids: int64 (N,), of the audited examples.
      given: int (N,), their given labels, which the preparation joined without a model.
      P: float64 (N, C), class probabilities.
      class_names: C names.

    Returns:
      Why there are no tables, or what they leave out, as sentences without a full stop.
    """
    votes = records.read_votes(dataset_path)
    if votes is None:
        return []
    matrix, notes = vote_matrix(votes, dataset_path, ids, class_names)
    if matrix is None:
        return notes
    try:
        found = crowdlab(matrix, P[matrix.index])
    except ValueError as error:  # such as of annotators who have no image in common
        return [*notes, f"cleanlab cannot weigh the annotators ({error})"]
    names = np.array(class_names, object)
    people = found["annotator_stats"].rename_axis("annotator").reset_index()
    people = people.assign(worst_class=names[people.worst_class.astype(int)])
    people.sort_values("annotator_quality", kind="stable").to_csv(
        directory / ANNOTATORS, index=False, float_format="%.6f"
    )
    images = found["label_quality"][OF_IMAGES]
    paths = np.array(records.read_paths(dataset_path, "train"), object)[ids[matrix.index]]
    images.insert(0, "id", ids[matrix.index])
    images.insert(1, "path", paths)
    images.insert(2, "given_label", names[given[matrix.index]])
    images = images.assign(consensus_label=names[images.consensus_label.astype(int)])
    images.sort_values("consensus_quality_score", kind="stable").to_csv(
        directory / CONSENSUS, index=False, float_format="%.6f"
    )
    return notes


def vote_matrix(votes, dataset_path, ids, class_names):
    """Labels as numbers, (images, M), by position in `ids` and annotator; None above the limit."""
    places = pd.Series(
        np.arange(len(ids)), np.array(records.read_paths(dataset_path, "train"))[ids]
    )
    votes = votes.assign(
        place=votes.path.map(places), code=pd.Index(class_names).get_indexer(votes.label)
    )
    votes = votes[votes.place.notna()]
    unknown, notes = votes.code < 0, []
    if unknown.any():
        notes = [
            f"{unknown.sum():,} labels of annotators name a class that no image has in the end"
        ]
    votes = votes[~unknown].astype({"place": int})
    if votes.place.nunique() * votes.annotator.nunique() > MOST_CELLS:
        return None, [*notes, TOO_MANY]
    return votes.pivot(index="place", columns="annotator", values="code").astype(float), notes


def crowdlab(matrix, P):
    """The tables label_quality and annotator_stats of cleanlab, rows as in `matrix`."""
    from cleanlab.multiannotator import get_label_quality_multiannotator  # takes seconds

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get_label_quality_multiannotator(matrix.reset_index(drop=True), P, verbose=False)
