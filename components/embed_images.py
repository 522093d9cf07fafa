from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def embed_images(
    prepared_dataset: dsl.Input[dsl.Dataset],
    backbone: dsl.Input[dsl.Model],
    settings: dict,
    embeddings: dsl.Output[dsl.Dataset],
):
    """Embeds all images of a dataset, once for all runs that train on the embeddings.

    Args:
        prepared_dataset: TFDS directory.
        backbone: Network from images to embeddings.
        settings: Settings of the training by the name of their flag, of which backbone_views and
            those of weak augmentation and of fine-tuning count here.

    Returns:
        embeddings: train.npy and test.npy, float16, by example id.
    """
    from trainer import artifacts
    from trainer.backbones import embed, fetch
    from trainer.data import records
    from trainer.training import configuration, finetuning

    config = configuration.resolve(
        records.read_manifest(prepared_dataset.path)["source"],
        method="supervised",
        backbone=fetch.read(backbone.path)["name"],
        **configuration.those_of("supervised", settings),
    )
    if config.finetune:
        finetuning.check(backbone.path, config.finetune_image_size)
    written = embed.embed(prepared_dataset.path, backbone.path, embeddings.path, config)
    embeddings.metadata.update(artifacts.scalars(written))
