from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def prepare_dataset(
    dataset: str,
    prepared_dataset: dsl.Output[dsl.Dataset],
    data: str = "",
    trusted: str = "",
    test: str = "",
    label_column: str = "label",
    clean_label_column: str = "",
    bad_images: str = "fail",
    tfds_data_dir: str = "",
):
    """Writes a dataset as TensorFlow Datasets records, with an id for every example.

    Args:
        dataset: Name of the source, such as digits, cifar10 or image_folder.
        data: For image_folder the directory of class folders, for csv the file.
        trusted: Directory of class folders whose labels are right.
        test: Directory of class folders to test on; otherwise a fifth is held out.
        label_column: Column of the given label in a csv file.
        clean_label_column: Column of the true label in a csv file, if it has one.
        bad_images: What to do with files that are no fit images, fail or skip.
        tfds_data_dir: Where TensorFlow Datasets keeps prepared datasets.

    Returns:
        prepared_dataset: TFDS directory with splits train and test.
    """
    from trainer import manifest
    from trainer.config import DataConfig
    from trainer.data import records

    files = DataConfig(
        data=data,
        trusted=trusted,
        test=test,
        label_column=label_column,
        clean_label_column=clean_label_column,
        bad_images=bad_images,
        tfds_data_dir=tfds_data_dir,
    )
    written = records.prepare(dataset, prepared_dataset.path, files)
    prepared_dataset.metadata.update(manifest.scalars(written))
