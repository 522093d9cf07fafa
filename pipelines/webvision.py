"""IEG on WebVision-mini, tested on its own validation images and on those of ImageNet."""

from kfp import dsl

from pipelines import stages
from pipelines.placement import pipeline_config
from trainer.settings.data import WEBVISION_RELEASE
from trainer.training import configuration

SETTINGS = configuration.of_experiment("ieg_webvision")
METHOD = SETTINGS.pop("method")


def pipeline(profile):
    """The pipeline of the published experiment, for the machines of a profile."""

    @dsl.pipeline(name="webvision", pipeline_config=pipeline_config(profile))
    def webvision(
        data: str = WEBVISION_RELEASE,
        imagenet_val: str = "",
        probe_per_class: int = 10,
        seed: int = 0,
        settings: dict = SETTINGS,
        checkpoint_root: str = "",
    ):
        """Trains IEG on WebVision-mini, whose labels are wrong as they were found on the web.

        Args:
            data: Directory with tensorflow_datasets in it, or zip archive; gs:// or local.
            imagenet_val: ILSVRC2012_img_val.tar, else imagenet2012 in data.
            probe_per_class: Trusted examples of each class.
            seed: Of everything random.
            settings: Settings of the trainer by the name of their flag.
            checkpoint_root: Directory or gs:// path for checkpoints that outlives a task.
        """
        with stages.recorded(profile):
            prepared_dataset = stages.prepared_data(profile, "webvisionmini", data=data)
            inputs = stages.noisy_data(
                profile,
                prepared_dataset,
                {"per_class": probe_per_class},
                seed,
                noise="none",
                noise_ratio=0.0,
            )
            checkpoints = stages.trained(profile, inputs, METHOD, seed, settings, checkpoint_root)
            stages.tested(profile, prepared_dataset, checkpoints)
            stages.tested_on_imagenet(profile, checkpoints, data, imagenet_val)

    return webvision
