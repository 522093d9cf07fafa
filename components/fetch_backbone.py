from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def fetch_backbone(
    name: str,
    backbone: dsl.Output[dsl.Model],
    weights: str = "",
    settings: dict = {},  # noqa: B006, kfp reads the default and copies it
):
    """Brings a pretrained network from images to embeddings.

    Args:
        name: efficientnet_lite0, keras:<Name> of keras.applications, hub:<preset> of KerasHub, or
            a .keras file.
        weights: For keras:<Name> a .h5 file of weights without the classifier; downloaded unless
            given.
        settings: Settings of the training by the name of their flag, of which backbone_image_size
            and those of fine-tuning count here.

    Returns:
        backbone: backbone.keras, with source, licence and hash of its weights.
    """
    from trainer import artifacts
    from trainer.backbones import fetch
    from trainer.training import configuration

    own = configuration.for_embedding(settings)
    config = configuration.resolve("image_folder", method="supervised", backbone=name, **own)
    sides = config.backbone_image_size, config.finetune and config.finetune_image_size
    written = fetch.fetch(name, backbone.path, weights, *sides)
    backbone.metadata.update(artifacts.scalars(written), framework="Keras")
