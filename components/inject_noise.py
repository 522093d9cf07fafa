from kfp import dsl

from components import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def inject_noise(
    prepared_dataset: dsl.Input[dsl.Dataset],
    noise: str,
    noise_ratio: float,
    seed: int,
    noisy_labels: dsl.Output[dsl.Dataset],
):
    """Makes labels of the train split wrong; the images stay where they are.

    Args:
        prepared_dataset: TFDS directory.
        noise: uniform (redrawn from all classes) or asymmetric (taken for a class alike).
        noise_ratio: Probability with which a label is redrawn or flipped, in [0, 1].
        seed: The same seed gives the same labels.

    Returns:
        noisy_labels: labels.npy by example id, and transition.npy.
    """
    from trainer import manifest
    from trainer.data import noise as label_noise

    written = label_noise.inject(prepared_dataset.path, noisy_labels.path, noise, noise_ratio, seed)
    noisy_labels.metadata.update(manifest.scalars(written))
