"""Logistic regression on embeddings, alone and with cleanlab: what `own_images` compares with.

It sees the embeddings of the images as tests see them, standardised, with the given labels, and
the trusted images with their true labels. C is the one of CS that, before the trusted images join,
has the best accuracy on them, of equal ones the lowest log loss. Out-of-sample probabilities are of
FOLDS folds. n training images outside of the trusted set, D embedding, K classes; C is the inverse
of the weight of the L2 penalty.
"""

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from cleanlab.count import estimate_joint
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer import artifacts
from trainer.data import probe, records
from trainer.data.noise import injection
from trainer.evaluation import detection

CS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
FOLDS = 5
PLAIN, WITH_CLEANLAB = "logistic regression", "logistic regression + cleanlab"
ROWS = (
    PLAIN,
    WITH_CLEANLAB,
    f"{WITH_CLEANLAB}, ranked by normalised margin",
    f"{PLAIN}, trusted images alone",
    f"{PLAIN}, true labels",
)


class Data(NamedTuple):
    """Embeddings float32 (n, D) and labels int32 (n,) of training, trusted and test images."""

    x: np.ndarray
    given: np.ndarray
    clean: np.ndarray
    trusted_x: np.ndarray
    trusted: np.ndarray
    test_x: np.ndarray
    test: np.ndarray

    def of_trusted(self):
        return self.trusted_x, self.trusted

    @property
    def num_classes(self):
        return int(self.trusted.max()) + 1


def read(root):
    """The `Data` of a run's directory."""
    root = Path(root)
    dataset_path = root / artifacts.PREPARED_DATASET
    dataset = records.read_manifest(dataset_path)
    given, _ = injection.read_noisy_labels(root / artifacts.NOISY_LABELS, dataset)
    trusted, ids, _ = probe.read_split(root / artifacts.PROBE_SPLIT, dataset)
    clean = records.read_clean_labels(dataset_path)
    x, test_x = (
        np.load(root / artifacts.EMBEDDINGS / f"{split}.npy")[:, 0].astype(np.float32)
        for split in ("train", "test")
    )
    test = records.read_labels(dataset_path, "test")
    return Data(x[ids], given[ids], clean[ids], x[trusted], clean[trusted], test_x, test)


def rows(root, seed):
    """Yields (row, its results) for each of ROWS."""
    data = read(root)
    started = time.perf_counter()
    model = chosen(data, data.given)
    chosen_after = time.perf_counter() - started
    found = {"accuracy": fitted(model, data, data.given).score(data.test_x, data.test)}
    yield ROWS[0], found | {"seconds": time.perf_counter() - started}

    started = time.perf_counter() - chosen_after
    P = out_of_sample(model, data, data.given, seed)
    cleaned = fitted(model, data, data.given, ~issues(data.given, P))
    found = {"accuracy": cleaned.score(data.test_x, data.test), **audited(data, P)}
    yield ROWS[1], found | {"seconds": time.perf_counter() - started}
    yield ROWS[2], ranked(data, P, "normalized_margin")

    started = time.perf_counter()
    model = of_trusted(data, seed)
    found = {"accuracy": model.score(data.test_x, data.test)}
    found |= audited(data, model.predict_proba(data.x))
    yield ROWS[3], found | {"seconds": time.perf_counter() - started}

    started = time.perf_counter()
    model = chosen(data, data.clean)
    found = {"accuracy": fitted(model, data, data.clean).score(data.test_x, data.test)}
    found |= audited(data, out_of_sample(model, data, data.clean, seed))
    yield ROWS[4], found | {"seconds": time.perf_counter() - started}


def regression(C):
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=1000))


def chosen(data, labels):
    """The regression with the best C for these labels (n,), by the trusted images."""

    def quality(model):
        P = np.zeros((len(data.trusted), data.num_classes))
        P[:, np.unique(labels)] = model.fit(data.x, labels).predict_proba(data.trusted_x)
        of_true = P[np.arange(len(P)), data.trusted]
        return np.mean(P.argmax(axis=1) == data.trusted), np.log(of_true + 1e-9).mean()

    return max(map(regression, CS), key=quality)


def fitted(model, data, labels, kept=slice(None)):
    """The model, trained on these labels (n,) of the images `kept`, and on the trusted images."""
    x = np.concatenate([data.x[kept], data.trusted_x])
    return model.fit(x, np.concatenate([labels[kept], data.trusted]))


def of_trusted(data, seed):
    """The regression of the trusted images alone; their folds choose C."""
    folds = min(FOLDS, np.bincount(data.trusted).min())
    search = GridSearchCV(
        regression(CS[0]),
        {"logisticregression__C": CS},
        cv=StratifiedKFold(folds, shuffle=True, random_state=seed),
    )
    return search.fit(*data.of_trusted())


def out_of_sample(model, data, labels, seed):
    """Probabilities (n, K) of the model when it was not trained on the image's fold."""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    P = np.zeros((len(labels), data.num_classes))
    P[:, np.unique(labels)] = cross_val_predict(
        model, data.x, labels, cv=folds, method="predict_proba"
    )
    return P


def issues(given, P):
    """The label issues of cleanlab, bool (n,)."""
    return find_label_issues(given, P, n_jobs=1)


def ranked(data, P, score):
    """How well a score of cleanlab ranks wrong labels."""
    quality = get_label_quality_scores(data.given, P, method=score)
    found = detection.ranking_quality(-quality, data.given != data.clean)
    return {name: found[name] for name in ("auroc", "average_precision") if name in found}


def audited(data, P):
    """An audit by cleanlab; an issue's label becomes the most probable class."""
    given, issue = data.given, issues(data.given, P)
    corrected = np.where(issue, P.argmax(axis=1), given)
    quality = detection.correction_quality(given, corrected, data.clean, issue)
    return {
        **ranked(data, P, "self_confidence"),
        "labels_right": quality["labels_right"],
        "noise_rate": float((given != data.clean).mean()),
        "noise_rate_estimated": float(1 - np.trace(estimate_joint(given, P))),
    }
