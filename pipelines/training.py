"""prepare -> embed, inject noise, split probe -> train -> evaluate, export, audit -> report.

Images are embedded where the pipeline has a backbone. To fine-tune it, `train` is there twice: for
the head on embeddings, then for both on images. With --backbone=auto a task chooses by trusted
images whether all later ones see the embeddings, or a network from scratch sees the images. A
review changes labels and probe before the training.
"""

from functools import partial

from kfp import dsl

from pipelines import stages
from pipelines.parameters import OF_BACKBONE, OF_REVIEW, described, without
from pipelines.placement import pipeline_config
from trainer import backbones


def pipeline(profile, embedded=False, finetuned=False, chosen=False, reviewed=False):
    """The pipeline that trains one method, for the machines of a profile.

    Args:
      profile: `pipelines.launch.profiles.Profile`.
      embedded: Whether it trains on the embeddings of a backbone.
      finetuned: Whether it fine-tunes the backbone after that.
      chosen: Whether it may choose a network from scratch in place of the embeddings.
      reviewed: Whether it applies a reviewer's decisions.
    """

    @dsl.pipeline(name="training", pipeline_config=pipeline_config(profile))
    @described
    @without(*(() if embedded else OF_BACKBONE), *(() if reviewed else OF_REVIEW))
    def training(
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
        backbone: str = "none",
        backbone_weights: str = "",
        decisions: str = "",
    ):
        """Trains one method on noisy labels; tests and exports it, audits the labels, reports."""
        with stages.record_status(profile):
            prepared = stages.prepare_dataset(
                profile,
                dataset=dataset,
                data=data,
                trusted=trusted,
                test=test,
                label_column=label_column,
                dataset_settings=dataset_settings,
            )
            noisy = stages.inject_noise(
                profile,
                **prepared,
                noise=noise,
                noise_ratio=noise_ratio,
                seed=seed,
                noise_file=noise_file,
                label_column=label_column,
            )
            probe = stages.split_probe(
                profile,
                **prepared,
                per_class=probe_per_class,
                hold_ratio=probe_dataset_hold_ratio,
                seed=seed,
            )
            made = {}
            if embedded:
                made = stages.embed_images(
                    profile,
                    **prepared,
                    settings=settings,
                    dataset_settings=dataset_settings,
                    backbone=backbones.DEFAULT if chosen else backbone,
                    backbone_weights=backbone_weights,
                )
            images = prepared | noisy | probe
            seen = stages.embeddings_of(made)
            recipe = dict(
                method=method, seed=seed, settings=settings, checkpoint_root=checkpoint_root
            )
            choice = {}
            if chosen:
                choice = stages.choose_backbone(profile, images | seen, backbone, **recipe)
            if reviewed:
                images |= stages.apply_review(profile, images, decisions)
            train = partial(stages.train_run, profile, images | choice, made, finetuned, **recipe)
            run = train()
            metrics = stages.evaluate(profile, **prepared, **run, **seen)
            model = stages.export_model(profile, images, **run, **made)
            stages.audit_and_report(
                profile, images | seen, train, audit_folds, run | metrics | model
            )
            with dsl.If(use_imagenet_as_eval == True, name="ImageNet"):  # noqa: E712, for kfp
                stages.evaluate_on_imagenet(profile, data, imagenet_val, **run)

    return training
