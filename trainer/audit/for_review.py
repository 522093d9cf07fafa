"""What a reviewer sees beside an image: its likeliest classes, and trusted images near it.

for_review.npz of a label audit, a row per audited example, in the order of its ids:
  id         int64 (N,)
  top        int32 (N, K), the likeliest classes, from image and given label
  p_top      float32 (N, K), their probabilities
  nearest    int64 (N, 2, K), ids of the trusted examples of the given and of the suggested class
             that are nearest to the image, by cosine of their features; -1 where there are fewer

N audited examples, C classes, D features, K = SHOWN.
"""

import numpy as np

from trainer import artifacts
from trainer.audit import noise_estimation
from trainer.data import records

FILE, SHOWN = "for_review.npz", 3
ROWS_AT_ONCE = 4096


def gather(P, table, trusted, features, transition=None):
    """The arrays of for_review.npz, by name.

    Args:
      P: (N, C), class probabilities by the image alone.
      table: Rows of the audit with id, given_label and suggested_label, classes as numbers.
      trusted: (ids, labels) of the trusted examples; label -1: of no class.
      features: float (number of images, D), by id.
      transition: That of the evidence; EM finds T unless given.
    """
    Q, _ = noise_estimation.true_label_posterior(P, table.given_label.to_numpy(), transition)
    top = np.argsort(-Q, axis=1, kind="stable")[:, :SHOWN]
    both = table[["given_label", "suggested_label"]].to_numpy().T
    nearest = [nearest_of_class(features, table.id.to_numpy(), k, *trusted) for k in both]
    return {
        "id": table.id.to_numpy(np.int64),
        "top": top.astype(np.int32),
        "p_top": np.take_along_axis(Q, top, axis=1).astype(np.float32),
        "nearest": np.stack(nearest, axis=1),
    }


def gather_both(evidence, table, trusted, features, count):
    """As `gather`, of training images and of test images.

    Args:
      evidence: `trainer.audit.evidence.Evidence` of the training images, with `tested`.
      table: Rows of the audit: the training images, then test images.
      trusted: As for `gather`.
      features: float, by id; ids of test continue those of train.
      count: Number of training images, audited or not.
    """
    trained, tested = table[table.id < count], table[table.id >= count]
    parts = [(evidence.P, trained), (evidence.tested[tested.id - count], tested)]
    found = [
        gather(P, rows, trusted, features, evidence.transition) for P, rows in parts if len(rows)
    ]
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def write(directory, seen):
    """Writes what `gather` returned into the directory of the label audit."""
    np.savez(directory / FILE, **seen)


def read(audit_path, ids):
    """The arrays of for_review.npz, by name, for examples in the order of `ids`.

    Classes and ids of examples that it has not are -1, probabilities 0.
    """
    with np.load(f"{audit_path}/{FILE}") as arrays:
        place = {id: row for row, id in enumerate(arrays["id"].tolist())}
        rows = np.array([place.get(id, -1) for id in ids.tolist()], int)
        found = {name: arrays[name][rows] for name in ("top", "p_top", "nearest")}
    for values, unknown in zip(found.values(), (-1, 0, -1)):
        values[rows < 0] = unknown
    return found


def nearest_of_class(features, ids, classes, trusted_ids, trusted_labels):
    """Ids of the SHOWN trusted examples of a class that are nearest to each example.

    Args:
      features: (number of images, D), by id.
      ids: int64 (N,).
      classes: int (N,), the class of each example whose trusted images are asked for.
      trusted_ids: int64 (M,).
      trusted_labels: int (M,).

    Returns:
      int64 (N, SHOWN), -1 where the class has fewer.
    """
    nearest = np.full((len(ids), SHOWN), -1, np.int64)
    for k in np.unique(classes[np.isin(classes, trusted_labels)]):
        candidates = trusted_ids[trusted_labels == k]
        theirs = unit_rows(features[candidates])
        members = np.flatnonzero(classes == k)
        for first in range(0, len(members), ROWS_AT_ONCE):
            rows = members[first : first + ROWS_AT_ONCE]
            likeness = unit_rows(features[ids[rows]]) @ theirs.T
            order = np.argsort(-likeness, axis=1, kind="stable")[:, :SHOWN]
            nearest[rows, : order.shape[1]] = candidates[order]
    return nearest


def unit_rows(features):
    """Rows of length 1, float32."""
    features = np.asarray(features, np.float32)
    return features / (np.linalg.norm(features, axis=1, keepdims=True) + 1e-12)


def read_features(dataset_path, checkpoints_path, embeddings_path=None):
    """Features of the images by id, float (number of images, D).

    They are the embeddings, where a head was trained on them, otherwise what the last layer sees.
    Test images are among them, after the training images, where they are audited.
    """
    run = artifacts.read(checkpoints_path, artifacts.CHECKPOINTS)
    if embeddings_path and not run["config"]["finetune"]:
        return read_embeddings(dataset_path, embeddings_path)
    from trainer.evaluation import predictions  # imports TensorFlow
    from trainer.training import fit  # imports TensorFlow

    method, _ = fit.restore(checkpoints_path, embeddings_path)
    splits = audited_splits(records.read_manifest(dataset_path))
    return np.concatenate(
        [predictions.last_features(dataset_path, method, split) for split in splits]
    )


def read_embeddings(dataset_path, embeddings_path):
    """The embeddings of the first view of the same images, in the same order."""
    dataset = records.read_manifest(dataset_path)
    artifacts.check_parent(artifacts.read(embeddings_path, artifacts.EMBEDDINGS), dataset)
    files = [f"{embeddings_path}/{split}.npy" for split in audited_splits(dataset)]
    return np.concatenate([np.load(file, mmap_mode="r")[:, 0] for file in files])


def audited_splits(dataset):
    return ("train",) if dataset["test_labels_are_clean"] else ("train", "test")
