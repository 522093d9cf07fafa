"""prepare -> inject noise, split probe -> train -> evaluate, export, audit labels -> report."""

from kfp import dsl

from pipelines import stages
from pipelines.placement import pipeline_config


def pipeline(profile):
    """The pipeline that trains one method, for the machines of a profile."""

    @dsl.pipeline(name="training", pipeline_config=pipeline_config(profile))
    def training_pipeline(
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
        use_imagenet_as_eval: bool = False,
        imagenet_val: str = "",
        dataset_settings: dict = {},  # noqa: B006, kfp reads the default and copies it
        settings: dict = {},  # noqa: B006
        audit_folds: int = 0,
        checkpoint_root: str = "",
    ):
        """Trains one method on noisy labels, tests it, exports it, finds wrong labels and reports.

        Args:
            dataset: Name of the source, such as digits, cifar10 or image_folder.
            noise: none, uniform, asymmetric, pair, instance, matrix or human.
            noise_ratio: Probability with which a label is redrawn or flipped, in [0, 1].
            probe_per_class: Trusted examples of each class.
            probe_dataset_hold_ratio: The same as a share of the training examples; 0 for none.
            method: supervised, robust, l2r, fsr or ieg.
            seed: Of everything random.
            data: For image_folder the directory of class folders, for csv the file.
            trusted: Directory of class folders whose labels are right.
            test: Directory of class folders to test on; otherwise a fifth is held out.
            label_column: Column of the given label in a csv file, or name of the labels in a human
                one.
            noise_file: For matrix a CSV transition matrix, for asymmetric a JSON map of class
                names, for human a label file of CIFAR-10N or CIFAR-100N.
            use_imagenet_as_eval: Whether to test webvisionmini on the ImageNet validation set too.
            imagenet_val: Its ILSVRC2012_img_val.tar, else imagenet2012 in data.
            dataset_settings: Further settings of the dataset by the name of their flag, such as
                {"clean_label_column": "truth", "bad_images": "skip"}.
            settings: Further settings of the trainer by the name of their flag.
            audit_folds: Runs that each leave out a part of the examples and judge its labels;
                0 lets the run itself judge all, and in a small set all other images.
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
            inputs = stages.noisy_data(
                profile,
                prepared_dataset,
                {"per_class": probe_per_class, "hold_ratio": probe_dataset_hold_ratio},
                seed,
                noise=noise,
                noise_ratio=noise_ratio,
                noise_file=noise_file,
                label_column=label_column,
            )
            training = method, seed, settings, checkpoint_root
            checkpoints = stages.trained(profile, inputs, *training)
            run = {
                "checkpoints": checkpoints,
                "metrics": stages.tested(profile, prepared_dataset, checkpoints),
                "exported_model": stages.exported(profile, inputs, checkpoints),
            }
            stages.audited(profile, inputs, training, audit_folds, **run)
            with dsl.If(use_imagenet_as_eval == True):  # noqa: E712, kfp compares it later
                stages.tested_on_imagenet(profile, checkpoints, data, imagenet_val)

    return training_pipeline
