from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def export_model(
    prepared_dataset: dsl.Input[dsl.Dataset],
    probe_split: dsl.Input[dsl.Dataset],
    checkpoints: dsl.Input[dsl.Artifact],
    exported_model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
    card: dsl.Output[dsl.Markdown],
    backbone: dsl.Input[dsl.Model] = None,
    embeddings: dsl.Input[dsl.Dataset] = None,
) -> str:
    """Exports a model for serving: image files in, calibrated probabilities out.

    Args:
        prepared_dataset: TFDS directory.
        probe_split: Trusted examples; those that training has not used calibrate the model.
        checkpoints: Checkpoints of the run.
        backbone: Network from images to embeddings, if the run has one.
        embeddings: Embeddings of the images, if there are any.

    Returns:
        exported_model: SavedModel that needs TensorFlow alone, and model.keras.
        metrics: Accuracy on test images, and calibration error before and after calibration.
        card: Model card.
        Output: Address of the SavedModel.
    """
    import shutil
    from pathlib import Path

    from trainer import artifacts
    from trainer.serving import export

    written = export.export(
        prepared_dataset.path,
        probe_split.path,
        checkpoints.path,
        exported_model.path,
        backbone_path=backbone.path if backbone else None,
        embeddings_path=embeddings.path if embeddings else None,
    )
    facts = artifacts.scalars(written)
    exported_model.metadata.update(facts, framework="TensorFlow")
    metrics.metadata.update({name: facts[name] for name in facts if name.startswith("test/")})
    shutil.copy(Path(exported_model.path, "model_card.md"), card.path)
    return f"{exported_model.uri}/saved_model"
