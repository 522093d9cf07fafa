from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def evaluate(
    prepared_dataset: dsl.Input[dsl.Dataset],
    checkpoints: dsl.Input[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
):
    """Tests a trained run, with its averaged weights and with its raw ones.

    Args:
        prepared_dataset: TFDS directory that it was trained on.
        checkpoints: Of the run.

    Returns:
        metrics: metrics.json; test/top1 is with averaged weights, test/top1_raw without.
    """
    from trainer.evaluate import evaluate

    metrics.metadata.update(evaluate(prepared_dataset.path, checkpoints.path, metrics.path))
