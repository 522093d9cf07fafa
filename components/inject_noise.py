from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def inject_noise(
    prepared_dataset: dsl.Input[dsl.Dataset],
    noise: str,
    noise_ratio: float,
    seed: int,
    noisy_labels: dsl.Output[dsl.Dataset],
    heat_map: dsl.Output[dsl.HTML],
    noise_file: str = "",
    label_column: str = "",
):
    """Adds noise to the labels of the train split; the images are not copied.

    Args:
        prepared_dataset: TFDS directory.
        noise: none, uniform (redrawn from all classes), asymmetric (flipped to a similar class),
            pair (to the next class), instance (depends on the image), matrix or human.
        noise_ratio: Probability with which a label is redrawn or flipped, in [0, 1].
        seed: The same seed gives the same labels.
        noise_file: For matrix a CSV transition matrix, for asymmetric a JSON map of class names,
            for human a label file of CIFAR-10N or CIFAR-100N.
        label_column: For human, name of the labels in the file.

    Returns:
        noisy_labels: labels.npy by example id, transition.npy and realised.npy.
        heat_map: HTML page with both matrices.
    """
    from trainer import artifacts
    from trainer.data.noise import injection as label_noise
    from trainer.report import noise as noise_page

    written = label_noise.inject(
        prepared_dataset.path,
        noisy_labels.path,
        noise,
        noise_ratio,
        seed,
        noise_file,
        label_column,
    )
    noisy_labels.metadata.update(artifacts.scalars(written))
    noise_page.write(prepared_dataset.path, noisy_labels.path, heat_map.path)
