"""The stages of the pipelines, each placed as a profile says.

A stage takes and returns artifacts by the names that the components use.
"""

from kfp import dsl

import components
from pipelines import placement

IMAGENET = "imagenet2012_val"


def record_status(profile):
    """A `with` block of tasks; its end is recorded, also after a failure."""
    task = components.record_status(run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
    placement.on_cpu(task, profile).set_caching_options(False)
    return dsl.ExitHandler(task, name="run")


def prepare_dataset(profile, display_name="", **settings):
    """Returns prepared_dataset."""
    task = placement.on_cpu(components.prepare_dataset(**settings), profile, display_name)
    return artifact(task, "prepared_dataset")


def inject_noise(profile, prepared_dataset, **noise):
    """Returns noisy_labels."""
    task = components.inject_noise(prepared_dataset=prepared_dataset, **noise)
    return artifact(placement.on_cpu(task, profile), "noisy_labels")


def split_probe(profile, prepared_dataset, **size):
    """Returns probe_split."""
    task = components.split_probe(prepared_dataset=prepared_dataset, **size)
    return artifact(placement.on_cpu(task, profile), "probe_split")


def apply_review(profile, inputs, decisions):
    """Applies a reviewer's decisions. Returns noisy_labels and probe_split."""
    task = placement.on_cpu(components.apply_review(**inputs, decisions=decisions), profile)
    made = {"noisy_labels": "reviewed_labels", "probe_split": "reviewed_split"}
    return {name: task.outputs[output] for name, output in made.items()}


def embed_images(profile, prepared_dataset, settings, dataset_settings, backbone, backbone_weights):
    """Embeds the images on one accelerator. Returns backbone and embeddings."""
    fetched = components.fetch_backbone(name=backbone, weights=backbone_weights, settings=settings)
    made = artifact(placement.on_cpu(fetched, profile), "backbone")
    task = components.embed_images(
        prepared_dataset=prepared_dataset,
        settings=settings,
        dataset_settings=dataset_settings,
        **made,
    )
    placement.on_pool(task, profile, min(profile.accelerators, 1))
    task.set_caching_options(profile.cache)
    return made | artifact(task, "embeddings")


def choose_backbone(profile, inputs, backbone, **recipe):
    """Chooses on one accelerator what `train` is to see. Returns backbone_choice.

    Args:
      profile: `pipelines.launch.profiles.Profile`.
      inputs: prepared_dataset, noisy_labels, probe_split and embeddings.
      backbone: Pipeline parameter: auto.
      **recipe: method, seed, settings and checkpoint_root.
    """
    arguments = inputs | outliving(profile, recipe)
    task = components.choose_backbone(**arguments, backbone=backbone)
    placement.on_pool(task, profile, min(profile.accelerators, 1))
    return artifact(task, "backbone_choice")


def outliving(profile, recipe):
    """A recipe with the checkpoints on the volume of the run, if it has one."""
    if not profile.workspace:
        return recipe
    return recipe | {"checkpoint_root": dsl.WORKSPACE_PATH_PLACEHOLDER}


def train(profile, inputs, display_name="train", **recipe):
    """Trains, with all the workers of the profile. Returns checkpoints.

    Args:
      profile: `pipelines.launch.profiles.Profile`.
      inputs: prepared_dataset, noisy_labels and probe_split; with a backbone also embeddings; with
        a choice also backbone_choice.
      display_name: Display name of the task.
      **recipe: method, seed, settings and checkpoint_root; for a fold also audit_folds and
        audit_fold; finetuning.
    """
    arguments = inputs | outliving(profile, recipe)
    if profile.target == "vertex" and profile.custom_job:
        task = placement.as_custom_job(components.train, profile)(**arguments)
        return artifact(placement.of_training(task, profile, display_name), "checkpoints")
    tasks = [
        components.train(
            **arguments,
            worker=worker,
            workers=profile.workers,
            worker_minutes=profile.worker_minutes,
        )
        for worker in range(profile.workers)
    ]
    for worker, task in enumerate(tasks):
        name = f"{display_name}, worker {worker}" if profile.workers > 1 else display_name
        placement.on_pool(task, profile, profile.accelerators, name)
    return artifact(tasks[0], "checkpoints")


def train_run(profile, data, made, finetuned, display_name="train", **recipe):
    """Trains on images, or on embeddings if there are any; fine-tunes after that if asked.

    Args:
      profile: `pipelines.launch.profiles.Profile`.
      data: prepared_dataset, noisy_labels and probe_split; with a choice also backbone_choice.
      made: backbone and embeddings; empty without a backbone.
      finetuned: Whether to fine-tune the backbone.
      display_name: Display name of the task, with the word "train".
      **recipe: As for `train`.

    Returns:
      checkpoints.
    """
    inputs = data | embeddings_of(made)
    if not finetuned:
        return train(profile, inputs, display_name, **recipe)
    recipe["finetuning"] = True
    run = train(profile, inputs, display_name, **recipe)
    start = {"backbone": made["backbone"], "head": run["checkpoints"]}
    return train(profile, inputs | start, display_name.replace("train", "fine-tune"), **recipe)


def embeddings_of(made):
    """The embeddings among what `embed_images` returned, if there are any."""
    return {name: made[name] for name in made if name == "embeddings"}


def evaluate(profile, prepared_dataset, checkpoints, name="test", display_name="", **embedded):
    """Evaluates on one accelerator, with embeddings if there are any. Returns metrics."""
    task = components.evaluate(
        prepared_dataset=prepared_dataset, checkpoints=checkpoints, name=name, **embedded
    )
    placement.on_pool(task, profile, min(profile.accelerators, 1), display_name)
    return artifact(task, "metrics")


def evaluate_on_imagenet(profile, data, imagenet_val, checkpoints):
    """Evaluates a run on WebVision-mini on the validation set of ImageNet."""
    prepared = prepare_dataset(
        profile,
        display_name="prepare ImageNet",
        dataset=IMAGENET,
        data=data,
        imagenet_val=imagenet_val,
    )
    evaluate(
        profile,
        **prepared,
        checkpoints=checkpoints,
        name="imagenet",
        display_name="evaluate on ImageNet",
    )


def export_model(profile, inputs, checkpoints, **embedded):
    """Exports a model for serving; Vertex AI can register it. Returns exported_model.

    Args:
      profile: `pipelines.launch.profiles.Profile`.
      inputs: Those of `train`.
      checkpoints: Checkpoints of the run.
      **embedded: backbone and embeddings, if there are any.
    """
    task = components.export_model(
        prepared_dataset=inputs["prepared_dataset"],
        probe_split=inputs["probe_split"],
        checkpoints=checkpoints,
        **embedded,
    )
    placement.on_pool(task, profile, min(profile.accelerators, 1))
    if profile.register_model:
        register_model(profile, task.outputs["Output"])
    return artifact(task, "exported_model")


def register_model(profile, saved_model):
    """Uploads the SavedModel at an address to the Model Registry of Vertex AI."""
    from google_cloud_pipeline_components.types import artifact_types
    from google_cloud_pipeline_components.v1.model import ModelUploadOp

    served = dsl.importer(
        artifact_uri=saved_model,
        artifact_class=artifact_types.UnmanagedContainerModel,
        metadata={"containerSpec": {"imageUri": profile.serving_image}},
    )
    task = ModelUploadOp(
        display_name=profile.register_model, unmanaged_container_model=served.output
    )
    placement.show(task, "register model")
    placement.retried(task, profile, profile.data_timeout_hours)


def audit_and_report(profile, inputs, train, folds, run):
    """Audits the labels, by the run or, for `folds` above 1, out of sample; reports on the run.

    Args:
      profile: `pipelines.launch.profiles.Profile`.
      inputs: What the run was trained on, as for `train`.
      train: Function of a display name and of a fold, as `train_run` for the rest.
      folds: Pipeline parameter: number of runs that each leave out a part of the training examples.
      run: checkpoints, metrics and exported_model.
    """
    checkpoints = run["checkpoints"]
    with dsl.If(folds > 1, name="audit by folds"):
        numbers = placement.on_cpu(components.number_folds(count=folds), profile).output
        with dsl.ParallelFor(numbers, name="folds", parallelism=profile.parallelism) as number:
            fold = {"audit_folds": folds, "audit_fold": number}
            trained = train(display_name="train without a fold", **fold)
        fold_checkpoints = dsl.Collected(trained["checkpoints"])
        audit = components.audit_labels(
            **inputs, checkpoints=checkpoints, fold_checkpoints=fold_checkpoints
        )
        write_report(profile, inputs, run, audit)
    with dsl.Else(name="audit by the run"):
        audit = components.audit_labels(**inputs, checkpoints=checkpoints)
        write_report(profile, inputs, run, audit)


def write_report(profile, inputs, run, audit):
    """Places an audit task, and writes the report of the run after it."""
    placement.on_pool(audit, profile, min(profile.accelerators, 1))
    task = components.write_report(
        prepared_dataset=inputs["prepared_dataset"],
        noisy_labels=inputs["noisy_labels"],
        **artifact(audit, "label_audit"),
        **run,
    )
    placement.on_cpu(task, profile)


def compare_runs(profile, metrics):
    """Compares the metrics of several runs."""
    placement.on_cpu(components.compare_runs(metrics=metrics), profile)


def artifact(task, name):
    """An output of a task, by its name."""
    return {name: task.outputs[name]}
