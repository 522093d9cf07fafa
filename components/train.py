from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def train(
    prepared_dataset: dsl.Input[dsl.Dataset],
    noisy_labels: dsl.Input[dsl.Dataset],
    probe_split: dsl.Input[dsl.Dataset],
    method: str,
    seed: int,
    settings: dict,
    checkpoints: dsl.Output[dsl.Artifact],
    model: dsl.Output[dsl.Model],
):
    """Trains a network on the noisy labels.

    Args:
        prepared_dataset: TFDS directory.
        noisy_labels: Given labels by example id.
        probe_split: Ids of the trusted examples.
        method: supervised, l2r, fsr or ieg.
        seed: Of weights, order and augmentation.
        settings: Further settings by the name of their flag, such as {"max_iteration": 1000};
            what is left out is as the recipe of the dataset has it.

    Returns:
        checkpoints: All that evaluation or further training needs.
        model: model.keras, with averaged weights.
    """
    from trainer import config, fit, manifest
    from trainer.data import records

    dataset = records.read_manifest(prepared_dataset.path)["source"]
    run = fit.train(
        config.resolve(dataset, method=method, seed=seed, **settings),
        prepared_dataset.path,
        noisy_labels.path,
        probe_split.path,
        checkpoints.path,
        model.path,
    )
    checkpoints.metadata.update(manifest.scalars(run))
    saved = manifest.read(model.path, manifest.MODEL)
    model.metadata.update(manifest.scalars(saved), framework="Keras")
