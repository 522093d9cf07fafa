from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def prepare_dataset(
    dataset: str, prepared_dataset: dsl.Output[dsl.Dataset], tfds_data_dir: str = ""
):
    """Writes a dataset as TensorFlow Datasets records, with an id for every example.

    Args:
        dataset: Name of the source, such as digits or cifar10.
        tfds_data_dir: Where TensorFlow Datasets keeps prepared datasets.

    Returns:
        prepared_dataset: TFDS directory with splits train and test.
    """
    from trainer import manifest
    from trainer.data import records

    written = records.prepare(dataset, prepared_dataset.path, tfds_data_dir or None)
    prepared_dataset.metadata.update(manifest.scalars(written))
