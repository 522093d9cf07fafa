"""prepare -> inject noise, split probe -> train -> evaluate."""

from kfp import dsl

from pipelines.stages import noisy_data, prepared_data, tested_run


@dsl.pipeline(name="training")
def training(
    dataset: str = "digits",
    noise: str = "uniform",
    noise_ratio: float = 0.9,
    probe_per_class: int = 10,
    probe_dataset_hold_ratio: float = 0.0,
    method: str = "ieg",
    seed: int = 0,
    data: str = "",
    trusted: str = "",
    test: str = "",
    label_column: str = "label",
    noise_file: str = "",
    dataset_settings: dict = {},  # noqa: B006, kfp reads the default and copies it
    settings: dict = {},  # noqa: B006
) -> dsl.Metrics:
    """Trains one method on noisy labels and tests it.

    Args:
        dataset: Name of the source, such as digits, cifar10 or image_folder.
        noise: none, uniform, asymmetric, pair, instance, matrix or human.
        noise_ratio: Probability with which a label is redrawn or flipped, in [0, 1].
        probe_per_class: Trusted examples of each class.
        probe_dataset_hold_ratio: The same as a share of the training examples, where above 0.
        method: supervised, l2r, fsr or ieg.
        seed: Of everything random.
        data: For image_folder the directory of class folders, for csv the file.
        trusted: Directory of class folders whose labels are right.
        test: Directory of class folders to test on; otherwise a fifth is held out.
        label_column: Column of the given label in a csv file, or name of the labels in a human one.
        noise_file: For matrix a CSV transition matrix, for asymmetric a JSON map of class names,
            for human a label file of CIFAR-10N or CIFAR-100N.
        dataset_settings: Further settings of the dataset by the name of their flag, such as
            {"clean_label_column": "truth", "bad_images": "skip"}.
        settings: Further settings of the trainer by the name of their flag.
    """
    prepared_dataset = prepared_data(
        dataset,
        data=data,
        trusted=trusted,
        test=test,
        label_column=label_column,
        dataset_settings=dataset_settings,
    )
    inputs = noisy_data(
        prepared_dataset,
        {"per_class": probe_per_class, "hold_ratio": probe_dataset_hold_ratio},
        seed,
        noise=noise,
        noise_ratio=noise_ratio,
        noise_file=noise_file,
        label_column=label_column,
    )
    return tested_run(inputs, method, seed, settings)
