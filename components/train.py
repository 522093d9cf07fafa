from kfp import dsl

from components import images


@dsl.component(base_image=images.TRAINER, install_kfp_package=False)
def train(
    prepared_dataset: dsl.Input[dsl.Dataset],
    noisy_labels: dsl.Input[dsl.Dataset],
    probe_split: dsl.Input[dsl.Dataset],
    method: str,
    seed: int,
    settings: dict,
    checkpoints: dsl.Output[dsl.Artifact],
    model: dsl.Output[dsl.Model],
    checkpoint_root: str = "",
    worker: int = 0,
    workers: int = 1,
    worker_minutes: int = 60,
    audit_folds: int = 0,
    audit_fold: int = -1,
    embeddings: dsl.Input[dsl.Dataset] = None,
    backbone: dsl.Input[dsl.Model] = None,
    head: dsl.Input[dsl.Artifact] = None,
    finetuning: bool = False,
    backbone_choice: dsl.Input[dsl.Artifact] = None,
):
    """Trains a network on the noisy labels.

    Args:
        prepared_dataset: TFDS directory.
        noisy_labels: Given labels by example id.
        probe_split: Ids of the trusted examples.
        method: Training method, such as robust or ieg.
        seed: Seed of weights, order and augmentation.
        settings: Further settings by the name of their flag, such as {"max_iteration": 1000};
            recipes and defaults give the others.
        checkpoint_root: Directory or gs:// path that outlives this task; a retry resumes from
            the checkpoints there.
        worker: Number of this task among those that train together; 0 is the chief. They find each
            other in checkpoint_root, unless TF_CONFIG names them.
        workers: Number of tasks that train together.
        worker_minutes: Minutes for which each task waits for the others.
        audit_folds: Number of folds of the training examples.
        audit_fold: The fold that is left out of training; -1 for none.
        embeddings: Embeddings of the images, where there is a backbone: a head is trained on
            them, and a fine-tuned network may keep a part of them.
        backbone: Network from images to embeddings, to fine-tune.
        head: Checkpoints of a head on the embeddings, from which fine-tuning starts.
        finetuning: Whether the pipeline has a task that fine-tunes, as settings have to say too.
        backbone_choice: Says whether a head sees the embeddings or a network from scratch the
            images.

    Returns:
        checkpoints: Weights, history and settings, for evaluation and resuming.
        model: model.keras, with EMA weights.
    """
    from trainer import artifacts, backbones
    from trainer.data import records
    from trainer.errors import InputError
    from trainer.evaluation import choice
    from trainer.training import configuration, resume
    from trainer.training import finetuning as fine_tuning

    dataset = records.read_manifest(prepared_dataset.path)
    own = {"method": method, "seed": seed, "audit_folds": audit_folds, "audit_fold": audit_fold}
    own |= configuration.those_of(method, settings)
    name, facts = backbones.NONE, None
    if embeddings:
        made = artifacts.read(embeddings.path, artifacts.EMBEDDINGS)
        name = made["backbone"]["name"]
    if backbone_choice:
        config, facts = choice.chosen(backbone_choice.path, dataset, **own)
        embeddings = embeddings if config.backbone != backbones.NONE else None
    else:
        config = configuration.resolve(dataset["source"], backbone=name, **own)
    if config.finetune != finetuning:
        rule = "must be as in the command that compiled the pipeline"
        raise InputError("--finetune", rule, config.finetune)
    if config.finetune:
        config = fine_tuning.of_finetuning(config) if head else fine_tuning.of_head(config)
    run = resume.train(
        config,
        (prepared_dataset.path, noisy_labels.path, probe_split.path),
        checkpoints_path=checkpoints.path,
        model_path=model.path,
        root=checkpoint_root,
        worker=worker,
        count=workers,
        patience=60 * worker_minutes,
        embeddings_path=embeddings.path if embeddings else None,
        backbone_path=backbone.path if backbone else None,
        head_path=head.path if head else None,
        further_facts=facts,
    )
    if run:
        checkpoints.metadata.update(artifacts.scalars(run))
        saved = artifacts.read(model.path, artifacts.MODEL)
        model.metadata.update(artifacts.scalars(saved), framework="Keras")
