"""prepare -> (inject noise, split probe -> train -> evaluate) for each run -> compare."""

from typing import List  # noqa: UP035, kfp reads the type of the items from it

from kfp import dsl

import components
from pipelines.stages import noisy_data, prepared_data, tested_run


@dsl.pipeline(name="sweep")
def sweep(
    dataset: str = "digits",
    noise: str = "uniform",
    probe_per_class: int = 10,
    probe_dataset_hold_ratio: float = 0.0,
    runs: List[dict] = [  # noqa: B006, UP006, kfp reads the default and copies it
        {"method": "ieg", "noise_ratio": 0.9, "seed": 0},
        {"method": "l2r", "noise_ratio": 0.9, "seed": 0},
        {"method": "supervised", "noise_ratio": 0.9, "seed": 0},
    ],
    data: str = "",
    trusted: str = "",
    test: str = "",
    label_column: str = "label",
    noise_file: str = "",
    dataset_settings: dict = {},  # noqa: B006, kfp reads the default and copies it
    settings: dict = {},  # noqa: B006
) -> dsl.Artifact:
    """Trains on the same images with several methods, noise ratios and seeds, and compares them.

    Args:
        dataset: Name of the source, such as digits, cifar10 or image_folder.
        noise: none, uniform, asymmetric, pair, instance, matrix or human.
        probe_per_class: Trusted examples of each class.
        probe_dataset_hold_ratio: The same as a share of the training examples, where above 0.
        runs: Method (supervised, l2r, fsr or ieg), noise_ratio (probability with which a label is
            redrawn or flipped) and seed of each run.
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
    with dsl.ParallelFor(runs) as run:
        inputs = noisy_data(
            prepared_dataset,
            {"per_class": probe_per_class, "hold_ratio": probe_dataset_hold_ratio},
            run.seed,
            noise=noise,
            noise_ratio=run.noise_ratio,
            noise_file=noise_file,
            label_column=label_column,
        )
        metrics = tested_run(inputs, run.method, run.seed, settings)
    compared = components.compare_runs(metrics=dsl.Collected(metrics))
    return compared.outputs["summary"]
