"""prepare -> inject noise, split probe -> train -> evaluate."""

from kfp import dsl

from pipelines.stages import noisy_data, tested_run


@dsl.pipeline(name="training")
def training(
    dataset: str = "digits",
    noise: str = "uniform",
    noise_ratio: float = 0.9,
    probe_per_class: int = 10,
    method: str = "ieg",
    seed: int = 0,
    tfds_data_dir: str = "",
    settings: dict = {},  # noqa: B006, kfp reads the default and copies it
) -> dsl.Metrics:
    """Trains one method on noisy labels and tests it.

    Args:
        dataset: Name of the source, such as digits or cifar10.
        noise: uniform or asymmetric.
        noise_ratio: Probability with which a label is redrawn or flipped, in [0, 1].
        probe_per_class: Trusted examples of each class.
        method: supervised, l2r or ieg.
        seed: Of everything random.
        tfds_data_dir: Where TensorFlow Datasets keeps prepared datasets.
        settings: Further settings of the trainer by the name of their flag.
    """
    data = noisy_data(dataset, noise, noise_ratio, probe_per_class, seed, tfds_data_dir)
    return tested_run(data, method, seed, settings)
