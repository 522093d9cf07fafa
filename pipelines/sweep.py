"""prepare -> inject noise, split probe -> (train -> evaluate) for each method -> compare."""

from kfp import dsl

import components
from pipelines.stages import noisy_data, tested_run


@dsl.pipeline(name="sweep")
def sweep(
    dataset: str = "digits",
    noise: str = "uniform",
    noise_ratio: float = 0.9,
    probe_per_class: int = 10,
    methods: list = ["ieg", "l2r", "supervised"],  # noqa: B006, slowest first: two run at a time
    seed: int = 0,
    data: str = "",
    trusted: str = "",
    test: str = "",
    label_column: str = "label",
    clean_label_column: str = "",
    tfds_data_dir: str = "",
    settings: dict = {},  # noqa: B006
) -> dsl.Artifact:
    """Trains several methods on the same noisy labels and compares them.

    Args:
        dataset: Name of the source, such as digits, cifar10 or image_folder.
        noise: none, uniform or asymmetric.
        noise_ratio: Probability with which a label is redrawn or flipped, in [0, 1].
        probe_per_class: Trusted examples of each class.
        methods: Any of supervised, l2r and ieg.
        seed: Of everything random.
        data: For image_folder the directory of class folders, for csv the file.
        trusted: Directory of class folders whose labels are right.
        test: Directory of class folders to test on; otherwise a fifth is held out.
        label_column: Column of the given label in a csv file.
        clean_label_column: Column of the true label in a csv file, if it has one.
        tfds_data_dir: Where TensorFlow Datasets keeps prepared datasets.
        settings: Further settings of the trainer by the name of their flag.
    """
    inputs = noisy_data(
        dataset,
        noise,
        noise_ratio,
        probe_per_class,
        seed,
        data=data,
        trusted=trusted,
        test=test,
        label_column=label_column,
        clean_label_column=clean_label_column,
        tfds_data_dir=tfds_data_dir,
    )
    with dsl.ParallelFor(methods) as method:
        metrics = tested_run(inputs, method, seed, settings)
    compared = components.compare_methods(metrics=dsl.Collected(metrics))
    return compared.outputs["summary"]
