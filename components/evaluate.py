from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def evaluate(
    prepared_dataset: dsl.Input[dsl.Dataset],
    checkpoints: dsl.Input[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    confusion: dsl.Output[dsl.ClassificationMetrics],
    summary: dsl.Output[dsl.Markdown],
    name: str = "test",
    embeddings: dsl.Input[dsl.Dataset] = None,
):
    """Tests a trained run, with its EMA weights and with its raw ones.

    Args:
        prepared_dataset: TFDS directory of the run, or another one with the same classes.
        checkpoints: Checkpoints of the run.
        name: Prefix of the names of the accuracies.
        embeddings: Embeddings of the images, if there are any.

    Returns:
        metrics: metrics.json; test/top1 is with EMA weights, test/top1_raw without.
        confusion: Confusion matrix with EMA weights; empty for more than 100 classes.
        summary: Table of the metrics.
    """
    from pathlib import Path

    import numpy as np
    from tabulate import tabulate

    from trainer import artifacts
    from trainer.evaluation import evaluate

    embedded = embeddings.path if embeddings else None
    found = evaluate.evaluate(
        prepared_dataset.path, checkpoints.path, metrics.path, name, embeddings_path=embedded
    )
    metrics.metadata.update(found)
    classes = artifacts.read(checkpoints.path, artifacts.CHECKPOINTS)["class_names"]
    if len(classes) <= 100:
        matrix = np.load(Path(metrics.path, evaluate.CONFUSION)).tolist()
        confusion.log_confusion_matrix(classes, matrix)
    table = tabulate(found.items(), ("metric", "value"), "github")
    Path(summary.path).write_text(table + "\n")
