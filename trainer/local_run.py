"""The steps of the pipelines in one process, on the directory of one run.

<root>/prepared_dataset, noisy_labels, probe_split, checkpoints, model, metrics, label_audit, ...
"""

import contextlib
import dataclasses
import json

from trainer import artifacts
from trainer.config import TrainConfig

REPORT, INPUTS = "report.html", "inputs.json"
DATA = (artifacts.PREPARED_DATASET, artifacts.NOISY_LABELS, artifacts.PROBE_SPLIT)


def train(root, dataset, noise_kind, noise_ratio, files, settings, worker, send, seen=""):
    """The steps of the training pipeline up to the training, in one process.

    The chief, worker 0, prepares the data for all, unless it has done so from the same inputs, of
    which `seen` is a hash. Each checkpoint is sent at once.
    """
    from trainer.data import probe, records
    from trainer.data.noise import injection
    from trainer.training import fit

    data, noisy_labels = root / artifacts.PREPARED_DATASET, root / artifacts.NOISY_LABELS
    split, checkpoints = root / artifacts.PROBE_SPLIT, root / artifacts.CHECKPOINTS
    fit.replicas()  # before TFDS uses TensorFlow
    if not worker and not is_prepared(root, seen):
        records.prepare(dataset, data, files)
        kind = noise_kind, noise_ratio, settings.seed, files.noise_file, files.label_column
        injection.inject(data, noisy_labels, *kind)
        size = files.probe_per_class, settings.seed, files.probe_dataset_hold_ratio
        probe.split(data, split, *size)
        artifacts.write_json(root / INPUTS, seen)
    fit.train(
        settings,
        data,
        noisy_labels,
        split,
        checkpoints,
        root / artifacts.MODEL,
        after_save=lambda: send(artifacts.CHECKPOINTS),
    )


def is_prepared(root, seen):
    """Whether the data of a run are there, made of inputs of this hash."""
    with contextlib.suppress(OSError, ValueError):  # an InputError is one
        for kind in DATA:
            artifacts.read(root / kind, kind)
        return bool(seen) and json.loads((root / INPUTS).read_text()) == seen
    return False


def evaluate(root, files, on_imagenet=False):
    """Tests the run, also on the ImageNet validation set if asked. Returns the metrics."""
    checkpoints = root / artifacts.CHECKPOINTS
    artifacts.read(checkpoints, artifacts.CHECKPOINTS)  # before the slow import
    from trainer.data import records
    from trainer.evaluation import evaluate

    metrics = evaluate.evaluate(
        root / artifacts.PREPARED_DATASET, checkpoints, root / artifacts.METRICS
    )
    if on_imagenet:
        imagenet = root / "imagenet"
        records.prepare("imagenet2012_val", imagenet / artifacts.PREPARED_DATASET, files)
        metrics |= evaluate.evaluate(
            imagenet / artifacts.PREPARED_DATASET,
            checkpoints,
            imagenet / artifacts.METRICS,
            name="imagenet",
        )
    return metrics


def audit(root, count):
    """Audits the labels of the run; out of sample, by `count` more runs, if above 0.

    Returns:
      The metrics.
    """
    run = artifacts.read(root / artifacts.CHECKPOINTS, artifacts.CHECKPOINTS)
    from trainer.audit import label_issues
    from trainer.training import fit

    data = [root / part for part in DATA]
    judges = [root / artifacts.CHECKPOINTS]
    if count:
        config = TrainConfig(**run["config"])
        judges = [root / "folds" / str(fold) / artifacts.CHECKPOINTS for fold in range(count)]
        for fold, place in enumerate(judges):
            left_out = dataclasses.replace(config, audit_folds=count, audit_fold=fold)
            fit.train(left_out, *data, place, place.parent / artifacts.MODEL)
    return label_issues.audit(*data, judges, root / artifacts.LABEL_AUDIT)


def export(root):
    """Writes a model to serve. Returns what its manifest says of it, without class names."""
    checkpoints = root / artifacts.CHECKPOINTS
    artifacts.read(checkpoints, artifacts.CHECKPOINTS)  # before the slow import
    from trainer.serving import export

    paths = root / artifacts.PREPARED_DATASET, root / artifacts.PROBE_SPLIT, checkpoints
    return artifacts.scalars(export.export(*paths, root / artifacts.EXPORTED_MODEL))


def report(root):
    """Writes report.html of a run that is tested, audited and exported. Returns its name."""
    from trainer.report import training

    parts = (
        *(artifacts.PREPARED_DATASET, artifacts.NOISY_LABELS, artifacts.CHECKPOINTS),
        *(artifacts.METRICS, artifacts.LABEL_AUDIT, artifacts.EXPORTED_MODEL),
    )
    training.write(*(root / part for part in parts), root / REPORT)
    return REPORT


def review(root, file):
    """Takes a reviewer's decisions on a run, or on what a pipeline left. Returns their number."""
    from trainer.audit import review

    audit, dataset = (
        artifact_directory(root, artifacts.LABEL_AUDIT),
        artifact_directory(root, artifacts.PREPARED_DATASET),
    )
    return review.review(audit, file, dataset, root / artifacts.REVIEW)


def artifact_directory(root, kind):
    """The directory of an artifact; a pipeline's run.json says where it is."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        return root / json.loads((root / "run.json").read_text())["artifacts"][kind]
    return root / kind
