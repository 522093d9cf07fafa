from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def embed_images(
    prepared_dataset: dsl.Input[dsl.Dataset],
    backbone: dsl.Input[dsl.Model],
    settings: dict,
    embeddings: dsl.Output[dsl.Dataset],
    dataset_settings: dict = {},  # noqa: B006, kfp reads the default and copies it
):
    """Embeds all images of a dataset, once for all runs that train on the embeddings.

    Args:
        prepared_dataset: TFDS directory.
        backbone: Network from images to embeddings.
        settings: Settings of the training by the name of their flag, of which backbone_views and
            those of weak augmentation and of fine-tuning count here.
        dataset_settings: Settings of the dataset by the name of their flag, of which beam_runner
            and beam_options count here.

    Returns:
        embeddings: train.npy and test.npy, float16, by example id.
    """
    from trainer import artifacts
    from trainer.backbones import embed, fetch
    from trainer.data import records
    from trainer.settings.data import DataSettings
    from trainer.training import configuration, finetuning

    config = configuration.resolve(
        records.read_manifest(prepared_dataset.path)["source"],
        method="supervised",
        backbone=fetch.read(backbone.path)["name"],
        **configuration.for_embedding(settings),
    )
    if config.finetune:
        finetuning.check(backbone.path, config.finetune_image_size)
    of_beam = {name: dataset_settings.get(name, "") for name in ("beam_runner", "beam_options")}
    written = embed.embed(
        prepared_dataset.path,
        backbone.path,
        embeddings.path,
        config,
        files=DataSettings(**of_beam),
    )
    embeddings.metadata.update(artifacts.scalars(written))
