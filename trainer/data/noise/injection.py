"""Label noise: replaces published labels by noisy ones.

<noisy_labels>/
  labels.npy       int32 (N,), the given label of each training example, by id
  transition.npy   float64 (C, C), T[i, j] = P(given j | published i); rows sum to 1
  realised.npy     the same matrix counted from the labels; identity for a class without examples
  manifest.json    noise, noise_ratio, seed, wrong_labels (fraction of labels that are wrong; null
                   unless all true labels are known)
"""

from pathlib import Path

import numpy as np

from trainer import artifacts, storage
from trainer.data import records
from trainer.data.noise import class_maps, human_labels, matrix_file, noise_models
from trainer.data.noise.transition import realised_transition
from trainer.data.streams import Stream
from trainer.settings.data import NOISES
from trainer.settings.fields import check_choice, check_range

FEATURE_SIDE = 32  # of the images that noise of kind "instance" looks at


def inject(dataset_path, output_path, noise, noise_ratio, seed, noise_file="", label_column=""):
    """Writes the noisy labels for the train split of a prepared dataset.

    Args:
      dataset_path: Directory of a prepared dataset.
      output_path: Directory to write.
      noise: One of `trainer.settings.data.NOISES`; it adds to wrong labels of the dataset.
      noise_ratio: In [0, 1]; see the function of each noise.
      seed: The same seed gives the same labels.
      noise_file: For asymmetric a JSON map of class names, for matrix a CSV transition matrix, for
        human a label file of CIFAR-10N or CIFAR-100N.
      label_column: For human, name of the labels in the file.

    Returns:
      The manifest.
    """
    check_choice("noise", noise, NOISES)
    check_range("noise_ratio", noise_ratio, 0, 1)
    noise_file = storage.fetched(noise_file, "--noise_file")
    dataset = records.read_manifest(dataset_path)
    labels, num_classes = records.read_labels(dataset_path, "train"), len(dataset["class_names"])
    rng = np.random.default_rng((seed, Stream.NOISE))
    basics = labels, num_classes, noise_ratio, rng
    match noise:
        case "none":
            given, transition = labels, np.eye(num_classes)
        case "uniform":
            given, transition = noise_models.uniform(*basics)
        case "pair":
            given, transition = noise_models.pair(*basics)
        case "asymmetric":
            class_map = class_maps.asymmetric_map(dataset, noise_file)
            given, transition = noise_models.asymmetric(*basics, class_map)
        case "matrix":
            wanted = matrix_file.read_matrix(noise_file, dataset["class_names"])
            given, transition = noise_models.matrix(*basics, wanted)
        case "instance":
            features = records.read_features(dataset_path, "train", FEATURE_SIDE)
            given, transition = noise_models.instance(*basics, features)
        case "human":
            published = records.read_published_order(dataset_path)
            chosen = human_labels.labels_by_id(noise_file, label_column, labels, published)
            given, transition = noise_models.replaced(*basics, chosen)
    clean = records.read_clean_labels(dataset_path)
    facts = {"noise": noise, "noise_ratio": noise_ratio, "seed": seed}
    facts["wrong_labels"] = float(np.mean(given != clean)) if np.all(clean >= 0) else None
    with artifacts.writing(output_path) as directory:
        np.save(directory / "labels.npy", given)
        np.save(directory / "transition.npy", transition)
        np.save(directory / "realised.npy", realised_transition(labels, given, num_classes))
        return artifacts.finish(
            directory, artifacts.NOISY_LABELS, {artifacts.PREPARED_DATASET: dataset}, **facts
        )


def read_noisy_labels(path, dataset):
    """Given labels, int32 (N,), and the manifest.

    Raises:
      InputError: The artifact is missing, half-written, or made for another dataset.
    """
    noisy = artifacts.read(path, artifacts.NOISY_LABELS)
    artifacts.check_parent(noisy, dataset)
    return np.load(Path(path) / "labels.npy"), noisy
