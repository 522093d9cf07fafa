"""prepare -> embed -> (inject noise, split probe -> train -> evaluate) per run -> compare.

Images are embedded where the pipeline has a backbone.
"""

from typing import List  # noqa: UP035, kfp reads the type of the items from it

from kfp import dsl

from pipelines import stages
from pipelines.parameters import OF_BACKBONE, described, without
from pipelines.placement import pipeline_config


def pipeline(profile, embedded=False, finetuned=False):
    """The pipeline that compares several runs, for the machines of a profile.

    Args:
      profile: `pipelines.launch.profiles.Profile`.
      embedded: Whether they train on the embeddings of a backbone.
      finetuned: False: no run of a sweep is fine-tuned.
    """

    @dsl.pipeline(name="sweep", pipeline_config=pipeline_config(profile))
    @described
    @without(*(() if embedded else OF_BACKBONE))
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
        backbone: str = "none",
        backbone_weights: str = "",
    ):
        """Trains several methods, noise ratios and seeds on the same images; compares the runs."""
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
            embeddings = {}
            if embedded:
                made = stages.embed_images(
                    profile,
                    **prepared,
                    settings=settings,
                    backbone=backbone,
                    backbone_weights=backbone_weights,
                )
                embeddings = {"embeddings": made["embeddings"]}
            with dsl.ParallelFor(runs, name="runs", parallelism=profile.parallelism) as run:
                noisy = stages.inject_noise(
                    profile,
                    **prepared,
                    noise=noise,
                    noise_ratio=run.noise_ratio,
                    seed=run.seed,
                    noise_file=noise_file,
                    label_column=label_column,
                )
                probe = stages.split_probe(
                    profile,
                    **prepared,
                    per_class=probe_per_class,
                    hold_ratio=probe_dataset_hold_ratio,
                    seed=run.seed,
                )
                inputs = prepared | noisy | probe | embeddings
                trained = stages.train(
                    profile,
                    inputs,
                    method=run.method,
                    seed=run.seed,
                    settings=settings,
                    checkpoint_root=checkpoint_root,
                )
                metrics = stages.evaluate(profile, **prepared, **trained, **embeddings)
            stages.compare_runs(profile, dsl.Collected(metrics["metrics"]))

    return sweep
