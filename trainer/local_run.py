"""The steps of the pipelines in one process, on the directory of one run.

<root>/prepared_dataset, noisy_labels, probe_split, backbone, embeddings, checkpoints, model,
       metrics, label_audit, ...; with fine-tuning <root>/head/checkpoints and model, of the head
       that it starts from; with --backbone=auto <root>/choice, see `trainer.evaluation.choice`
"""

import contextlib
import dataclasses
import json
import os

from trainer import artifacts, backbones, outputs
from trainer.errors import InputError

REPORT, INPUTS, HEAD, CHOICE = "report.html", "inputs.json", "head/", "choice"
DATA = (artifacts.PREPARED_DATASET, artifacts.NOISY_LABELS, artifacts.PROBE_SPLIT)


def train(
    root, dataset, noise_kind, noise_ratio, files, settings, worker, send, seen="", choices=None
):
    """The steps of the training pipeline up to the training, in one process.

    The chief, worker 0, prepares the data for all workers, unless they are there from the same
    inputs (`seen` is a hash of the inputs). `send` gets each checkpoint at once. With
    --backbone=auto, one of `choices`, settings by name, replaces the settings.
    """
    from trainer.data import probe, records
    from trainer.data.noise import injection
    from trainer.training import candidates, fit

    dataset_path = root / artifacts.PREPARED_DATASET
    fit.replicas()  # before TFDS uses TensorFlow
    made = {}
    if choices:
        settings = choices[candidates.EMBEDDINGS]  # until one is chosen
    if not worker and settings.backbone != backbones.NONE:
        fetch_backbone(root, settings)  # first, since it may be refused
    if not worker and not is_prepared(root, seen):
        records.prepare(dataset, dataset_path, files)
        injection.inject(
            dataset_path,
            root / artifacts.NOISY_LABELS,
            noise_kind,
            noise_ratio,
            seed=settings.seed,
            noise_file=files.noise_file,
            label_column=files.label_column,
        )
        probe.split(
            dataset_path,
            root / artifacts.PROBE_SPLIT,
            per_class=files.probe_per_class,
            seed=settings.seed,
            hold_ratio=files.probe_dataset_hold_ratio,
        )
        artifacts.write_json(root / INPUTS, seen)
    if choices:
        settings, made = choose(root, choices, files, send)
    if not worker and settings.backbone != backbones.NONE:
        embed(root, settings, files)
    train_run(root, root, settings, lambda place: send(place), further_facts=made)


def choose(root, choices, files, send):
    """The settings of the candidate that --backbone=auto takes, and what the run says about it."""
    from trainer.evaluation import choice

    def train(settings, place, data):
        made = place.parent if settings.finetune else root  # maybe for images of another size
        if settings.backbone != backbones.NONE:
            fetch_backbone(made, settings)
            embed(root, settings, files, made)
        name = place.relative_to(root)
        train_run(made, place, settings, lambda part: send(f"{name}/{part}"), data)
        return embeddings_path(made, settings).get("embeddings_path")

    place = root / CHOICE
    found = choice.choose(data_paths(root), place, place / "result", choices, train)
    print(f"--backbone=auto takes {found['sentence']}")
    settings = choices[found["chosen"]]
    if settings.finetune:
        fetch_backbone(root, settings)
    return settings, {artifacts.BACKBONE_CHOICE: found}


def train_run(root, place, settings, send=lambda place: None, data=None, further_facts=None):
    """Trains a run in `place` on what is in `root`; to fine-tune, the head alone before.

    `send` gets the name of a directory in `place` after each of its checkpoints. `data` are the
    directories of the data; those in `root` unless given.
    """
    from trainer.training import finetuning, fit

    def train(name, settings, **paths):
        checkpoints = f"{name}{artifacts.CHECKPOINTS}"
        fit.train(
            settings,
            **data or data_paths(root),
            checkpoints_path=place / checkpoints,
            model_path=place / f"{name}{artifacts.MODEL}",
            after_save=lambda: send(checkpoints),
            further_facts=further_facts,
            **paths,
        )

    if not settings.finetune:
        return train("", settings, **embeddings_path(root, settings))
    head = finetuning.of_head(settings)
    train(HEAD, head, **embeddings_path(root, head))
    starts = embeddings_path(root, settings) | {
        "backbone_path": root / artifacts.BACKBONE,
        "head_path": place / HEAD / artifacts.CHECKPOINTS,
    }
    train("", finetuning.of_finetuning(settings), **starts)


def fetch_backbone(root, settings):
    """Fetches the backbone, unless it is there."""
    from trainer.backbones import fetch
    from trainer.training import finetuning

    fetch.fetch(
        settings.backbone,
        root / artifacts.BACKBONE,
        settings.backbone_weights,
        settings.backbone_image_size,
        settings.finetune and settings.finetune_image_size,
    )
    if settings.finetune:
        finetuning.check(root / artifacts.BACKBONE, settings.finetune_image_size)


def embed(root, settings, files, place=None):
    """Embeds the images by the backbone in `place`, or `root`, as far as that has not been done."""
    from trainer.backbones import embed

    place = place or root
    embed.embed(
        root / artifacts.PREPARED_DATASET,
        place / artifacts.BACKBONE,
        place / artifacts.EMBEDDINGS,
        settings,
        files=files,
    )


def embeddings_path(root, config):
    """Directory of the embeddings of a run with a backbone, by the name of the argument."""
    if config.backbone == backbones.NONE:
        return {}
    return {"embeddings_path": root / artifacts.EMBEDDINGS}


def config_of(run):
    """The settings of a run, from its manifest."""
    from trainer.training import configuration

    return configuration.restored(run["config"])


def whole_config(root, run):
    """The settings of a run, to train it again: of a fine-tuned one with those of its head."""
    from trainer.training import finetuning

    config = config_of(run)
    if not config.finetune:
        return config
    head = artifacts.read(root / HEAD / artifacts.CHECKPOINTS, artifacts.CHECKPOINTS)
    return finetuning.of_both(config_of(head), config)


def data_paths(root):
    """Directories of dataset, noisy labels and probe split, by the name of the argument."""
    return {
        "dataset_path": root / artifacts.PREPARED_DATASET,
        "noisy_labels_path": root / artifacts.NOISY_LABELS,
        "probe_split_path": root / artifacts.PROBE_SPLIT,
    }


def is_prepared(root, seen):
    """Whether the data of a run have been prepared from inputs with this hash."""
    with contextlib.suppress(OSError, ValueError):  # an InputError is one
        for kind in DATA:
            artifacts.read(root / kind, kind)
        return bool(seen) and json.loads((root / INPUTS).read_text()) == seen
    return False


def evaluate(root, files, on_imagenet=False):
    """Tests the run, on request also on the ImageNet validation set. Returns the metrics."""
    checkpoints = root / artifacts.CHECKPOINTS
    run = artifacts.read(checkpoints, artifacts.CHECKPOINTS)  # before the slow import
    config = config_of(run)
    if on_imagenet:
        check_imagenet(config)
    from trainer.data import records
    from trainer.evaluation import evaluate

    metrics = evaluate.evaluate(
        root / artifacts.PREPARED_DATASET,
        checkpoints,
        root / artifacts.METRICS,
        **embeddings_path(root, config),
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


def check_imagenet(config):
    """Raises InputError for a run with a backbone: there are no embeddings of ImageNet's images."""
    if config.backbone != backbones.NONE:
        rule = f"is for networks without a backbone; --backbone is {config.backbone}"
        raise InputError("--use_imagenet_as_eval", rule, True)


def audit(root, count):
    """Audits the labels of the run; with out-of-sample predictions of `count` runs, if above 0.

    Returns:
      The metrics.
    """
    run = artifacts.read(root / artifacts.CHECKPOINTS, artifacts.CHECKPOINTS)
    from trainer.audit import label_issues

    checkpoints_paths = [root / artifacts.CHECKPOINTS]
    embedded = root / artifacts.EMBEDDINGS
    if count:
        both = whole_config(root, run)
        folds = [root / "folds" / str(fold) for fold in range(count)]
        checkpoints_paths = [fold / artifacts.CHECKPOINTS for fold in folds]
        for number, fold in enumerate(folds):
            left_out = {"audit_folds": count, "audit_fold": number}
            train_run(root, fold, dataclasses.replace(both, **left_out))
    return label_issues.audit(
        **data_paths(root),
        checkpoints_paths=checkpoints_paths,
        output_path=root / artifacts.LABEL_AUDIT,
        embeddings_path=embedded if embedded.is_dir() else None,
    )


def export(root):
    """Writes a model to serve. Returns the facts of its manifest, without class names."""
    checkpoints = root / artifacts.CHECKPOINTS
    run = artifacts.read(checkpoints, artifacts.CHECKPOINTS)  # before the slow import
    embedded = embeddings_path(root, config_of(run))
    from trainer.serving import export

    written = export.export(
        dataset_path=root / artifacts.PREPARED_DATASET,
        probe_split_path=root / artifacts.PROBE_SPLIT,
        checkpoints_path=checkpoints,
        output_path=root / artifacts.EXPORTED_MODEL,
        backbone_path=root / artifacts.BACKBONE if embedded else None,
        **embedded,
    )
    return artifacts.scalars(written)


def report(root):
    """Writes report.html of a run that is tested, audited and exported. Returns its name."""
    from trainer.report import training

    training.write(
        dataset_path=root / artifacts.PREPARED_DATASET,
        noisy_labels_path=root / artifacts.NOISY_LABELS,
        checkpoints_path=root / artifacts.CHECKPOINTS,
        metrics_path=root / artifacts.METRICS,
        label_audit_path=root / artifacts.LABEL_AUDIT,
        exported_model_path=root / artifacts.EXPORTED_MODEL,
        file=root / REPORT,
    )
    return REPORT


def review(root, file):
    """Trains again after a review, and compares. Returns the comparison as text.

    Args:
      root: `pathlib.Path` of the run; found below runs/ by the decisions if None.
      file: Path of decisions.csv.
    """
    from trainer.audit import decisions, rounds

    rows = decisions.read(file)
    root = rounds.find(rows, root, "--checkpoint_path")
    if not (root / artifacts.CHECKPOINTS).is_dir():
        rule = "must be a run of python -m trainer; for this one: python -m pipelines review"
        raise InputError("--checkpoint_path", rule, str(root))
    place, rows, replaced = rounds.start(root, rows)
    if rounds.is_finished(place):
        content = json.loads((place / rounds.COMPARISON).read_text())
        from trainer.report import rounds as comparison

        return f"{place} has these decisions\n\n{comparison.text(content)}"
    outputs.hold(root, "--checkpoint_path")
    print(rounds.opening(root, place, rows, replaced), flush=True)
    for kind in (artifacts.PREPARED_DATASET, artifacts.BACKBONE, artifacts.EMBEDDINGS):
        if (root / kind).is_dir() and not (place / kind).exists():
            place.mkdir(parents=True, exist_ok=True)
            (place / kind).symlink_to(os.path.relpath(root / kind, place))
    decisions.write(rows, place / rounds.DECISIONS)
    train_again(root, place)
    from trainer.report import rounds as comparison

    return f"{comparison.write(root, place)}comparison: {place / rounds.PAGE}"


def train_again(root, place):
    """The steps of a run on the data of another one, after the decisions in `place`."""
    from trainer.audit import review, rounds

    run = artifacts.read(root / artifacts.CHECKPOINTS, artifacts.CHECKPOINTS)
    audited = artifacts.read(root / artifacts.LABEL_AUDIT, artifacts.LABEL_AUDIT)
    folds = sum(parent.startswith("checkpoints_") for parent in audited["parents"])
    review.apply(
        *data_paths(root).values(),
        place / rounds.DECISIONS,
        place / artifacts.NOISY_LABELS,
        place / artifacts.PROBE_SPLIT,
    )
    train_run(place, place, whole_config(root, run))
    evaluate(place, None)
    audit(place, folds if folds > 1 else 0)
    export(place)
    report(place)
