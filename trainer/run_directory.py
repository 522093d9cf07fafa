"""The steps of the pipelines in one process, on the directory of one run.

<root>/prepared_dataset, noisy_labels, probe_split, checkpoints, model, metrics, label_audit, ...
"""

import contextlib
import dataclasses
import json

from trainer import manifest
from trainer.config import TrainConfig

REPORT, INPUTS = "report.html", "inputs.json"
DATA = (manifest.PREPARED_DATASET, manifest.NOISY_LABELS, manifest.PROBE_SPLIT)


def train(root, dataset, noise_kind, noise_ratio, files, settings, worker, send, seen=""):
    """The steps of the training pipeline up to the training, in one process.

    The chief, worker 0, prepares the data for all, unless it has done so from the same inputs, of
    which `seen` is a hash. Each checkpoint is sent at once.
    """
    from trainer import fit
    from trainer.data import noise, probe, records

    data, noisy_labels = root / manifest.PREPARED_DATASET, root / manifest.NOISY_LABELS
    split, checkpoints = root / manifest.PROBE_SPLIT, root / manifest.CHECKPOINTS
    fit.replicas()  # before TFDS uses TensorFlow
    if not worker and not prepared(root, seen):
        records.prepare(dataset, data, files)
        kind = noise_kind, noise_ratio, settings.seed, files.noise_file, files.label_column
        noise.inject(data, noisy_labels, *kind)
        size = files.probe_per_class, settings.seed, files.probe_dataset_hold_ratio
        probe.split(data, split, *size)
        manifest.write_json(root / INPUTS, seen)
    fit.train(
        settings,
        data,
        noisy_labels,
        split,
        checkpoints,
        root / manifest.MODEL,
        after_save=lambda: send(manifest.CHECKPOINTS),
    )


def prepared(root, seen):
    """Whether the data of a run are there, made of inputs of this hash."""
    with contextlib.suppress(OSError, ValueError):  # an InputError is one
        for kind in DATA:
            manifest.read(root / kind, kind)
        return bool(seen) and json.loads((root / INPUTS).read_text()) == seen
    return False


def evaluate(root, files, on_imagenet=False):
    """Tests the run, also on the ImageNet validation set if asked. Returns the metrics."""
    checkpoints = root / manifest.CHECKPOINTS
    manifest.read(checkpoints, manifest.CHECKPOINTS)  # before the slow import
    from trainer import evaluate
    from trainer.data import records

    metrics = evaluate.evaluate(
        root / manifest.PREPARED_DATASET, checkpoints, root / manifest.METRICS
    )
    if on_imagenet:
        imagenet = root / "imagenet"
        records.prepare("imagenet2012_val", imagenet / manifest.PREPARED_DATASET, files)
        metrics |= evaluate.evaluate(
            imagenet / manifest.PREPARED_DATASET,
            checkpoints,
            imagenet / manifest.METRICS,
            name="imagenet",
        )
    return metrics


def audit(root, count):
    """Audits the labels of the run; out of sample, by `count` more runs, if above 0.

    Returns:
      The metrics.
    """
    run = manifest.read(root / manifest.CHECKPOINTS, manifest.CHECKPOINTS)
    from trainer import fit, label_audit

    data = [root / part for part in DATA]
    judges = [root / manifest.CHECKPOINTS]
    if count:
        config = TrainConfig(**run["config"])
        judges = [root / "folds" / str(fold) / manifest.CHECKPOINTS for fold in range(count)]
        for fold, place in enumerate(judges):
            left_out = dataclasses.replace(config, audit_folds=count, audit_fold=fold)
            fit.train(left_out, *data, place, place.parent / manifest.MODEL)
    return label_audit.audit(*data, judges, root / manifest.LABEL_AUDIT)


def export(root):
    """Writes a model to serve. Returns what its manifest says of it, without class names."""
    checkpoints = root / manifest.CHECKPOINTS
    manifest.read(checkpoints, manifest.CHECKPOINTS)  # before the slow import
    from trainer import export

    paths = root / manifest.PREPARED_DATASET, root / manifest.PROBE_SPLIT, checkpoints
    return manifest.scalars(export.export(*paths, root / manifest.EXPORTED_MODEL))


def report(root):
    """Writes report.html of a run that is tested, audited and exported. Returns its name."""
    from trainer.report import training

    parts = (
        *(manifest.PREPARED_DATASET, manifest.NOISY_LABELS, manifest.CHECKPOINTS),
        *(manifest.METRICS, manifest.LABEL_AUDIT, manifest.EXPORTED_MODEL),
    )
    training.write(*(root / part for part in parts), root / REPORT)
    return REPORT


def review(root, file):
    """Takes a reviewer's decisions on a run, or on what a pipeline left. Returns their number."""
    from trainer import label_review

    audit, dataset = place(root, manifest.LABEL_AUDIT), place(root, manifest.PREPARED_DATASET)
    return label_review.review(audit, file, dataset, root / manifest.REVIEW)


def place(root, kind):
    """The directory of an artifact; a pipeline's run.json says where it is."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        return root / json.loads((root / "run.json").read_text())["artifacts"][kind]
    return root / kind
