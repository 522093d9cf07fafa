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
    """Writes a page on a run: how good it is, and which labels look wrong, with their pictures.

    Args:
        prepared_dataset: TFDS directory.
        noisy_labels: Given labels by example id.
        checkpoints: Of the run.
        metrics: On test images.
        label_audit: Training examples by how likely their label is wrong.
        exported_model: Model to serve, with its calibration.

    Returns:
        report: One file, which asks for nothing outside it.
    """
    from trainer.report import training

    made = prepared_dataset, noisy_labels, checkpoints, metrics, label_audit, exported_model
    training.write(*(artifact.path for artifact in made), report.path)
