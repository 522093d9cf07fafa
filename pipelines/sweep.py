"""prepare -> (inject noise, split probe -> train -> evaluate) for each run -> compare."""

from typing import List  # noqa: UP035, kfp reads the type of the items from it

from kfp import dsl

import components
from pipelines import placement, stages


def pipeline(profile):
    """The pipeline that compares several runs, for the machines of a profile."""

    @dsl.pipeline(name="sweep", pipeline_config=placement.pipeline_config(profile))
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
        checkpoint_root: str = "",
    ):
        """Trains with several methods, noise ratios and seeds on the same images; compares them.

        Args:
            dataset: Name of the source, such as digits, cifar10 or image_folder.
            noise: none, uniform, asymmetric, pair, instance, matrix or human.
            probe_per_class: Trusted examples of each class.
            probe_dataset_hold_ratio: The same as a share of the training examples; 0 for none.
            runs: Method (supervised, robust, l2r, fsr or ieg), noise_ratio (probability with
                which a label is redrawn or flipped) and seed of each run.
            data: For image_folder the directory of class folders, for csv the file.
            trusted: Directory of class folders whose labels are right.
            test: Directory of class folders to test on; otherwise a fifth is held out.
            label_column: Column of the given label in a csv file, or name of the labels in a human
                one.
            noise_file: For matrix a CSV transition matrix, for asymmetric a JSON map of class
                names, for human a label file of CIFAR-10N or CIFAR-100N.
            dataset_settings: Further settings of the dataset by the name of their flag, such as
                {"clean_label_column": "truth", "bad_images": "skip"}.
            settings: Further settings of the trainer by the name of their flag.
            checkpoint_root: Directory or gs:// path for checkpoints that outlives a task.
        """
        with stages.recorded(profile):
            prepared_dataset = stages.prepared_data(
                profile,
                dataset,
                data=data,
                trusted=trusted,
                test=test,
                label_column=label_column,
                dataset_settings=dataset_settings,
            )
            with dsl.ParallelFor(runs, parallelism=profile.parallelism) as run:
                inputs = stages.noisy_data(
                    profile,
                    prepared_dataset,
                    {"per_class": probe_per_class, "hold_ratio": probe_dataset_hold_ratio},
                    run.seed,
                    noise=noise,
                    noise_ratio=run.noise_ratio,
                    noise_file=noise_file,
                    label_column=label_column,
                )
                checkpoints = stages.trained(
                    profile, inputs, run.method, run.seed, settings, checkpoint_root
                )
                metrics = stages.tested(profile, prepared_dataset, checkpoints)
            compared = components.compare_runs(metrics=dsl.Collected(metrics))
            placement.on_cpu(compared, profile)

    return sweep
