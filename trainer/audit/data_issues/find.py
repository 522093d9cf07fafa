"""Finds the issues of all images of a dataset, and writes their tables.

Rows are train images by id, then test images by id. N images, C classes, D features.
"""

import numpy as np
import pandas as pd

from trainer.audit.data_issues import (
    COLUMNS,
    ISSUE_TYPES,
    ISSUES,
    TABLE,
    classes,
    duplicates,
    neighbours,
    pixels,
)
from trainer.data import records

MOST = 200_000  # images up to which each is compared with each
FEWEST = 3  # images that have neighbours
ALIKE, ALIKE_TO_BACKBONE = 0.2, 0.13  # times the median distance to a nearest neighbour
SHAPES = "shapes and colours"
NO_BACKBONE = (
    "Off-topic images are not looked for: this needs the embeddings of a run with --backbone"
)
NOT_COMPARED = (
    f"Near duplicates, outliers and groups are looked for in {FEWEST} to {MOST:,} images only"
)


def find(dataset_path, noisy_labels, audited_ids, evidence, embeddings_path=None, true=None):
    """The issues of all images.

    Args:
      dataset_path: Directory of a prepared dataset.
      noisy_labels: int32, given labels of train by id.
      audited_ids: int64, train ids that are not trusted.
      evidence: `trainer.audit.evidence.Evidence`.
      embeddings_path: Directory of the embeddings, where there are some.
      true: int32, true labels of trusted images by id, -1 where a reviewer dropped the image;
        those of the dataset if None.

    Returns:
      `pandas.DataFrame` of COLUMNS and of two columns for each issue type, labels as numbers, and
      facts for the manifest.
    """
    class_names = records.read_manifest(dataset_path)["class_names"]
    table = all_images(dataset_path, noisy_labels, audited_ids, true)
    labels, parts = table.given_label.to_numpy(), table.split.where(table.trusted == 0, "trusted")
    measured = [pixels.measure(dataset_path, split) for split in ("train", "test")]
    properties = pd.concat([of_split for of_split, _ in measured], ignore_index=True)
    shapes = standardised(np.concatenate([features for _, features in measured]))
    embeddings = read_embeddings(embeddings_path)
    found, pairs = duplicates.same_content(properties.digest)
    seen = pixels.find(properties)
    issues, notes = [found, seen, classes.imbalance(labels, class_names)], []
    scores = 1 - found.is_exact_duplicates_issue.to_numpy(float)
    if FEWEST <= len(table) <= MOST:
        features = shapes if embeddings is None else embeddings
        near, near_pairs, outliers = compared(shapes, embeddings)
        unseen = seen[[f"is_{issue}_issue" for issue in pixels.UNSEEN]].any(axis=1).to_numpy()
        near, near_pairs = duplicates.that_can_be_seen(near, near_pairs, unseen)
        issues += [near, outliers]
        pairs = np.concatenate([pairs, near_pairs])
        scores = near.near_duplicate_score.where(~found.is_exact_duplicates_issue, 0.0).to_numpy()
        if embeddings is not None:
            issues.append(neighbours.off_topic(embeddings, labels))
        weak, table["group"] = weak_groups(features, labels, audited_ids, evidence)
        issues.append(weak)
        notes += [NO_BACKBONE] * (embeddings is None)
    else:
        notes.append(NOT_COMPARED)
    sets = duplicates.sets_of(pairs, len(table))
    issues.append(duplicates.differences(sets, labels, parts, scores))
    table = pd.concat([table.assign(duplicate_set=sets), *issues], axis=1)
    by = SHAPES if embeddings is None else f"embeddings, {SHAPES}"
    confused = classes.confused_classes(evidence.P, noisy_labels[audited_ids], class_names)
    return in_order(table), {"seen": by, "notes": notes, "confused_classes": confused}


def all_images(dataset_path, noisy_labels, audited_ids, true=None):
    """The table of all images, before anything is found."""
    true = records.read_clean_labels(dataset_path) if true is None else true
    trusted = np.where(true >= 0, 1, 0)
    trusted[audited_ids] = 0
    given = np.where(trusted, true, noisy_labels)
    tables = []
    for split, of_split in (("train", given), ("test", records.read_labels(dataset_path, "test"))):
        tables.append(pd.DataFrame({"split": split, "given_label": of_split}))
        tables[-1]["path"] = records.read_paths(dataset_path, split) or ""
        tables[-1]["trusted"] = trusted if split == "train" else 0
    table = pd.concat(tables, ignore_index=True)
    return table.assign(id=table.index, duplicate_set=-1, group=-1)


def standardised(X):
    return (X - X.mean(axis=0)) / (X.std(axis=0) + 1e-6)


def read_embeddings(path):
    """Embeddings of the images as tests see them, float32 (N, D); None without a backbone."""
    if path is None:
        return None
    views = [np.load(f"{path}/{split}.npy", mmap_mode="r")[:, 0] for split in ("train", "test")]
    return np.concatenate(views).astype(np.float32)


def compared(shapes, embeddings):
    """Columns of near duplicates by either kind of features, their pairs (n, 2), and outliers."""
    graphs = [(neighbours.neighbour_graph(shapes), ALIKE)]
    if embeddings is not None:
        graphs.append((neighbours.neighbour_graph(embeddings), ALIKE_TO_BACKBONE))
    issues, pairs = zip(*(neighbours.near_duplicates(graph, alike) for graph, alike in graphs))
    near = np.any([of.is_near_duplicate_issue for of in issues], axis=0)
    scores = np.min([of.near_duplicate_score for of in issues], axis=0)
    columns = {"is_near_duplicate_issue": near, "near_duplicate_score": scores}
    return pd.DataFrame(columns), np.concatenate(pairs), neighbours.outliers(graphs[-1][0])


def weak_groups(features, labels, audited_ids, evidence):
    """Columns of underperforming_group, and the group of each image that was predicted.

    Trusted images are not predicted.
    """
    count = len(labels) - len(evidence.tested)
    rows = np.concatenate([audited_ids, np.arange(count, len(labels))])
    P = np.concatenate([evidence.P, evidence.tested])
    found, groups = classes.weak_groups(features[rows], labels[rows], P)
    weak = found.set_axis(rows).reindex(range(len(labels)))
    weak = weak.assign(
        is_underperforming_group_issue=weak.is_underperforming_group_issue.eq(True),
        underperforming_group_score=weak.underperforming_group_score.fillna(1.0),
    )
    return weak, pd.Series(groups, rows).reindex(range(len(labels)), fill_value=-1)


def in_order(table):
    """The columns in the order of ISSUE_TYPES, flags as 1 and 0; only issues looked for."""
    flags = {f"is_{issue}_issue": f"{issue}_score" for issue in ISSUE_TYPES}
    flags = {flag: score for flag, score in flags.items() if flag in table}
    columns = [name for pair in flags.items() for name in pair]
    return table[[*COLUMNS, *columns]].astype(dict.fromkeys(flags, np.int8))


def counts(table):
    """Number of images by issue, of the issues that were looked for."""
    flags = {issue: f"is_{issue}_issue" for issue in ISSUE_TYPES}
    return {issue: int(table[flag].sum()) for issue, flag in flags.items() if flag in table}


def write(directory, table, class_names):
    """Writes both tables, with class names for class numbers."""
    table = table.assign(given_label=np.array(class_names, object)[table.given_label])
    table.to_parquet(directory / TABLE, index=False)
    number = table.filter(regex="^is_.*_issue$").sum(axis=1)
    flagged = table.assign(number=number)[number > 0].sort_values(
        ["number", "id"], ascending=[False, True]
    )
    flagged.drop(columns="number").to_csv(directory / ISSUES, index=False, float_format="%.6f")
