"""Compares label audits of finished runs with cleanlab's scores on the same network's predictions.

python -m benchmarks.label_audit RUN [RUN ...]

Each RUN is a directory <labels>/<seed> of `python -m trainer`, audited, whose true labels are
known. The table has a row for each kind of labels and each score: mean and standard deviation over
the seeds, in %.
"""

import itertools
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from cleanlab.count import estimate_joint
from cleanlab.rank import get_label_quality_scores
from scipy.special import softmax
from tabulate import tabulate

from trainer import artifacts
from trainer.data import probe, records
from trainer.data.noise import injection
from trainer.data.noise.transition import normalised_rows, realised_transition
from trainer.evaluation import detection, predictions
from trainer.training import fit

SCORES = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
SHOWN = ("auroc", "average_precision", "precision_at_1000")


def rows(root):
    """A row for the audit, and one for each score of cleanlab."""
    dataset_path = root / artifacts.PREPARED_DATASET
    dataset = records.read_manifest(dataset_path)
    labels, _ = injection.read_noisy_labels(root / artifacts.NOISY_LABELS, dataset)
    _, ids, _ = probe.read_split(root / artifacts.PROBE_SPLIT, dataset)
    given, clean = labels[ids], records.read_clean_labels(dataset_path)[ids]
    method, _ = fit.restore(root / artifacts.CHECKPOINTS)
    P = softmax(
        predictions.predict_logits(dataset_path, method, "train", ids).astype(float), axis=1
    )
    table = pd.read_parquet(root / artifacts.LABEL_AUDIT / "label_issues.parquet").set_index("id")
    transition = np.load(root / artifacts.LABEL_AUDIT / "transition.npy")
    suspicion = 1 - table.label_score
    found = {"audit": (suspicion[ids].to_numpy(), suspicion.mean(), transition)}
    joint = estimate_joint(given, P)
    for score, adjusted in itertools.product(SCORES, (False, True)):
        if adjusted and score == "confidence_weighted_entropy":
            continue
        quality = get_label_quality_scores(given, P, method=score, adjust_pred_probs=adjusted)
        name = f"cleanlab, {score}{', adjusted' if adjusted else ''}"
        found[name] = -quality, 1 - np.trace(joint), normalised_rows(joint.T)
    truth = realised_transition(clean, given, len(transition))
    for name, (score, rate, T) in found.items():
        quality = detection.ranking_quality(score, given != clean)
        yield {
            "labels": root.parent.name,
            "ranked by": name,
            "wrong, %": 100 * (given != clean).mean(),
            "estimated, %": 100 * rate,
            **{shown: 100 * quality[shown] for shown in SHOWN},
            "transition error": 100 * np.abs(T - truth).mean(),
        }


def main(paths):
    table = pd.DataFrame([row for path in paths for row in rows(Path(path))])
    groups = table.groupby(["labels", "ranked by"], sort=False)
    mean, deviation = groups.mean(), groups.std()
    cells = mean.map("{:.1f}".format) + deviation.map(" ± {:.1f}".format).where(
        groups.size().gt(1), ""
    )
    print(tabulate(cells.reset_index(), "keys", "github", showindex=False, disable_numparse=True))


if __name__ == "__main__":
    main(sys.argv[1:])
