from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def choose_backbone(
    prepared_dataset: dsl.Input[dsl.Dataset],
    noisy_labels: dsl.Input[dsl.Dataset],
    probe_split: dsl.Input[dsl.Dataset],
    embeddings: dsl.Input[dsl.Dataset],
    backbone: str,
    method: str,
    seed: int,
    settings: dict,
    backbone_choice: dsl.Output[dsl.Artifact],
    summary: dsl.Output[dsl.Markdown],
    checkpoint_root: str = "",
):
    """Chooses between embeddings and a network from scratch, by held-out trusted images.

    Args:
        prepared_dataset: TFDS directory.
        noisy_labels: Given labels by example id.
        probe_split: Ids of the trusted examples.
        embeddings: Embeddings of the images.
        backbone: auto; another one needs no choice.
        method: Training method, such as robust or ieg.
        seed: Seed of weights, order and augmentation.
        settings: Further settings by the name of their flag; each network takes those that mean
            something to it.
        checkpoint_root: Directory or gs:// path that outlives this task; a retry resumes from
            the checkpoints there.

    Returns:
        backbone_choice: What is chosen, the accuracy of each network, and a sentence.
        summary: Sentence, and table of the networks.
    """
    from pathlib import Path

    from trainer import artifacts, backbones
    from trainer.data import records
    from trainer.errors import InputError
    from trainer.evaluation import choice
    from trainer.training import candidates, configuration

    if backbone != backbones.AUTO:
        rule = f"must be {backbones.AUTO}, as in the command that compiled the pipeline"
        raise InputError("--backbone", rule, backbone)
    source = records.read_manifest(prepared_dataset.path)["source"]
    own = configuration.those_of(method, settings)
    found = choice.choose(
        data={
            "dataset_path": prepared_dataset.path,
            "noisy_labels_path": noisy_labels.path,
            "probe_split_path": probe_split.path,
        },
        place=Path(f"{backbone_choice.path}_runs"),
        output_path=backbone_choice.path,
        settings=candidates.candidates(source, method=method, seed=seed, **own),
        train=choice.training_on(embeddings.path, checkpoint_root),
        left_out={candidates.FINETUNING: "a pipeline leaves it out; run one with --finetune"},
    )
    print(f"--backbone=auto takes {found['sentence']}")
    backbone_choice.metadata.update(artifacts.scalars(found))
    Path(summary.path).write_text(choice.text(found))
