from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def split_probe(
    prepared_dataset: dsl.Input[dsl.Dataset],
    per_class: int,
    seed: int,
    probe_split: dsl.Output[dsl.Dataset],
    hold_ratio: float = 0.0,
):
    """Chooses trusted examples, the same number of each class, and takes them out of training.

    Args:
        prepared_dataset: TFDS directory.
        per_class: Trusted examples of each class.
        seed: The same seed gives the same examples.
        hold_ratio: Fraction of the training examples; above 0, it replaces per_class.

    Returns:
        probe_split: probe_ids.npy; training uses all other ids.
    """
    from trainer import artifacts
    from trainer.data import probe

    written = probe.split(prepared_dataset.path, probe_split.path, per_class, seed, hold_ratio)
    probe_split.metadata.update(artifacts.scalars(written))
