from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def audit_labels(
    prepared_dataset: dsl.Input[dsl.Dataset],
    noisy_labels: dsl.Input[dsl.Dataset],
    probe_split: dsl.Input[dsl.Dataset],
    checkpoints: dsl.Input[dsl.Artifact],
    label_audit: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    fold_checkpoints: dsl.Input[list[dsl.Artifact]] = None,
    embeddings: dsl.Input[dsl.Dataset] = None,
):
    """Ranks training examples by how likely their label is wrong, and corrects labels.

    Args:
        prepared_dataset: TFDS directory.
        noisy_labels: Given labels by example id.
        probe_split: Ids of the trusted examples.
        checkpoints: Checkpoints of the run.
        fold_checkpoints: Checkpoints of runs that each left out a fold; they make out-of-sample
            predictions.
        embeddings: Embeddings of the images, if there are any.

    Returns:
        label_audit: label_issues.csv, most suspicious first, and corrected labels.
        metrics: Estimated noise rate and its range; where true labels are known, quality of the
            ranking and of the corrections.
        summary: Table of the most suspicious labels.
    """
    from pathlib import Path

    from trainer.audit import label_issues as audit

    data = prepared_dataset.path, noisy_labels.path, probe_split.path
    runs = [run.path for run in fold_checkpoints or [checkpoints]]
    embedded = embeddings.path if embeddings else None
    found = audit.audit(*data, runs, label_audit.path, embeddings_path=embedded)
    metrics.metadata.update(found)
    label_audit.metadata.update(found)
    Path(summary.path).write_text(audit.summary(label_audit.path))
