from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def apply_review(
    prepared_dataset: dsl.Input[dsl.Dataset],
    noisy_labels: dsl.Input[dsl.Dataset],
    probe_split: dsl.Input[dsl.Dataset],
    decisions: str,
    reviewed_labels: dsl.Output[dsl.Dataset],
    reviewed_split: dsl.Output[dsl.Dataset],
):
    """Applies a reviewer's decisions: reviewed labels are trusted, dropped images not trained on.

    Args:
        prepared_dataset: TFDS directory.
        noisy_labels: Given labels by example id.
        probe_split: Ids of the trusted examples.
        decisions: decisions.csv, as the report saves it.

    Returns:
        reviewed_labels: noisy_labels with the decided labels.
        reviewed_split: probe_split with the ids of reviewed and dropped examples.
    """
    from trainer import artifacts
    from trainer.audit import review

    data = prepared_dataset.path, noisy_labels.path, probe_split.path
    written = review.apply(*data, decisions, reviewed_labels.path, reviewed_split.path)
    reviewed_split.metadata.update(artifacts.scalars(written))
