"""prepare -> inject noise, split probe -> train -> evaluate."""

from kfp import dsl

import components


@dsl.pipeline(name="training")
def training(
    dataset: str = "digits",
    noise: str = "uniform",
    noise_ratio: float = 0.9,
    probe_per_class: int = 10,
    method: str = "ieg",
    seed: int = 0,
    settings: dict = {},  # noqa: B006, kfp reads the default and copies it
) -> dsl.Metrics:
    """Trains one method on noisy labels and tests it.

    Args:
        dataset: Name of the source, such as digits.
        noise: uniform or asymmetric.
        noise_ratio: Probability with which a label is redrawn or flipped, in [0, 1].
        probe_per_class: Trusted examples of each class.
        method: supervised, l2r or ieg.
        seed: Of everything random.
        settings: Further settings of the trainer by the name of their flag.
    """
    data = components.prepare_dataset(dataset=dataset)
    prepared_dataset = data.outputs["prepared_dataset"]
    noisy = components.inject_noise(
        prepared_dataset=prepared_dataset, noise=noise, noise_ratio=noise_ratio, seed=seed
    )
    probe = components.split_probe(
        prepared_dataset=prepared_dataset, per_class=probe_per_class, seed=seed
    )
    trained = components.train(
        prepared_dataset=prepared_dataset,
        noisy_labels=noisy.outputs["noisy_labels"],
        probe_split=probe.outputs["probe_split"],
        method=method,
        seed=seed,
        settings=settings,
    )
    evaluated = components.evaluate(
        prepared_dataset=prepared_dataset, checkpoints=trained.outputs["checkpoints"]
    )
    return evaluated.outputs["metrics"]
