from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def prepare_dataset(
    dataset: str,
    prepared_dataset: dsl.Output[dsl.Dataset],
    data: str = "",
    trusted: str = "",
    test: str = "",
    label_column: str = "label",
    imagenet_val: str = "",
    dataset_settings: dict = {},  # noqa: B006, kfp reads the default and copies it
):
    """Writes a dataset as TensorFlow Datasets records, with an id for every example.

    Args:
        dataset: Name of the source, such as digits, cifar10 or image_folder.
        data: For image_folder the directory of class folders, for csv the file.
        trusted: Directory of class folders with true labels.
        test: Directory of class folders to test on; otherwise a fifth is held out.
        label_column: Column of the given label in a csv file.
        imagenet_val: For imagenet2012_val, ILSVRC2012_img_val.tar; unless given imagenet2012 in
            data.
        dataset_settings: Further settings by the name of their flag, such as
            {"clean_label_column": "true_label", "bad_images": "skip"}.

    Returns:
        prepared_dataset: TFDS directory with splits train and test.
    """
    from trainer import artifacts
    from trainer.data import records, request

    given = {"data": data, "trusted": trusted, "test": test, "label_column": label_column}
    given["imagenet_val"] = imagenet_val
    given = {name: value for name, value in given.items() if value}
    files = request.resolve(dataset, **given, **dataset_settings)
    written = records.prepare(dataset, prepared_dataset.path, files)
    prepared_dataset.metadata.update(artifacts.scalars(written))
