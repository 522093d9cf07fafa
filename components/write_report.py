from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def write_report(
    prepared_dataset: dsl.Input[dsl.Dataset],
    noisy_labels: dsl.Input[dsl.Dataset],
    checkpoints: dsl.Input[dsl.Artifact],
    metrics: dsl.Input[dsl.Metrics],
    label_audit: dsl.Input[dsl.Dataset],
    exported_model: dsl.Input[dsl.Model],
    report: dsl.Output[dsl.HTML],
):
    """Writes the report of a run: its test accuracy, and its label issues with their images.

    Args:
        prepared_dataset: TFDS directory.
        noisy_labels: Given labels by example id.
        checkpoints: Checkpoints of the run.
        metrics: Metrics on test images.
        label_audit: Label issues, most suspicious first.
        exported_model: Model for serving, with its calibration.

    Returns:
        report: One HTML file that loads nothing else.
    """
    from trainer.report import training

    made = prepared_dataset, noisy_labels, checkpoints, metrics, label_audit, exported_model
    training.write(*(artifact.path for artifact in made), report.path)
