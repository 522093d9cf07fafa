from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def number_folds(count: int) -> list[int]:
    """Numbers the folds of the training examples; a run leaves out each fold.

    Args:
        count: Number of folds.

    Returns:
        Output: 0, 1, ..., count - 1.
    """
    return list(range(count))
