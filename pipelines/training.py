"""prepare -> inject noise, split probe -> train -> evaluate."""

from kfp import dsl

from pipelines.stages import noisy_data, prepared_data, tested_run


@dsl.pipeline(name="training")
def training(
    dataset: str = "digits",
    noise: str = "uniform",
    noise_ratio: float = 0.9,
    probe_per_class: int = 10,
    method: str = "ieg",
    seed: int = 0,
    data: str = "",
    trusted: str = "",
    test: str = "",
    label_column: str = "label",
    clean_label_column: str = "",
    bad_images: str = "fail",
    tfds_data_dir: str = "",
    noise_file: str = "",
    settings: dict = {},  # noqa: B006, kfp reads the default and copies it
) -> dsl.Metrics:
    """Trains one method on noisy labels and tests it.

    Args:
        dataset: Name of the source, such as digits, cifar10 or image_folder.
        noise: none, uniform, asymmetric, pair, instance, matrix or human.
        noise_ratio: Probability with which a label is redrawn or flipped, in [0, 1].
        probe_per_class: Trusted examples of each class.
        method: supervised, l2r, fsr or ieg.
        seed: Of everything random.
        data: For image_folder the directory of class folders, for csv the file.
        trusted: Directory of class folders whose labels are right.
        test: Directory of class folders to test on; otherwise a fifth is held out.
        label_column: Column of the given label in a csv file, or name of the labels in a human one.
        clean_label_column: Column of the true label in a csv file, if it has one.
        bad_images: What to do with files that are no fit images, fail or skip.
        tfds_data_dir: Where TensorFlow Datasets keeps prepared datasets.
        noise_file: For matrix a CSV transition matrix, for asymmetric a JSON map of class names,
            for human a label file of CIFAR-10N or CIFAR-100N.
        settings: Further settings of the trainer by the name of their flag.
    """
    prepared_dataset = prepared_data(
        dataset,
        data=data,
        trusted=trusted,
        test=test,
        label_column=label_column,
        clean_label_column=clean_label_column,
        bad_images=bad_images,
        tfds_data_dir=tfds_data_dir,
    )
    inputs = noisy_data(
        prepared_dataset,
        probe_per_class,
        seed,
        noise=noise,
        noise_ratio=noise_ratio,
        noise_file=noise_file,
        label_column=label_column,
    )
    return tested_run(inputs, method, seed, settings)
