"""The stages that the pipelines are chained from, each placed as a profile says."""

from kfp import dsl

import components
from pipelines import placement

IMAGENET = "imagenet2012_val"


def recorded(profile):
    """A block of tasks whose end is recorded, however it comes."""
    task = components.record_status(run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
    return dsl.ExitHandler(placement.on_cpu(task, profile).set_caching_options(False))


def prepared_data(profile, dataset, **files):
    """Prepares. Returns the dataset."""
    task = components.prepare_dataset(dataset=dataset, **files)
    return placement.on_cpu(task, profile).outputs["prepared_dataset"]


def noisy_data(profile, prepared_dataset, probe, seed, **noise):
    """Chains inject noise and split probe to a dataset. Returns what `train` takes of it."""
    noisy = components.inject_noise(prepared_dataset=prepared_dataset, seed=seed, **noise)
    split = components.split_probe(prepared_dataset=prepared_dataset, seed=seed, **probe)
    return {
        "prepared_dataset": prepared_dataset,
        "noisy_labels": placement.on_cpu(noisy, profile).outputs["noisy_labels"],
        "probe_split": placement.on_cpu(split, profile).outputs["probe_split"],
    }


def trained(profile, data, method, seed, settings, checkpoint_root, **fold):
    """Trains, with all the workers of the profile. Returns the checkpoints."""
    if profile.workspace:
        checkpoint_root = dsl.WORKSPACE_PATH_PLACEHOLDER
    inputs = {**data, "method": method, "seed": seed, "settings": settings, **fold}
    inputs["checkpoint_root"] = checkpoint_root
    if profile.target == "vertex" and profile.custom_job:
        task = placement.as_custom_job(components.train, profile)(**inputs)
        placement.retried(task, profile, profile.timeout_hours)
        return task.set_caching_options(profile.cache_training).outputs["checkpoints"]
    tasks = [
        components.train(
            **inputs,
            worker=worker,
            workers=profile.workers,
            worker_minutes=profile.worker_minutes,
        )
        for worker in range(profile.workers)
    ]
    for task in tasks:
        placement.on_pool(task, profile, profile.accelerators)
    return tasks[0].outputs["checkpoints"]


def tested(profile, prepared_dataset, checkpoints, name="test"):
    """Evaluates on one accelerator. Returns the metrics."""
    task = components.evaluate(
        prepared_dataset=prepared_dataset, checkpoints=checkpoints, name=name
    )
    return placement.on_pool(task, profile, min(profile.accelerators, 1)).outputs["metrics"]


def audited(profile, data, training, folds, checkpoints, **tested):
    """Audits the labels by the run, or where `folds` is above 1 by as many that left out a part.

    Then writes the report.

    Args:
      profile: `pipelines.launch.profiles.Profile`.
      data: Inputs of `train`.
      training: The other arguments of `trained`.
      folds: Pipeline parameter.
      checkpoints: Of the run.
      **tested: Its metrics and exported_model.
    """
    with dsl.If(folds > 1):
        numbers = placement.on_cpu(components.number_folds(count=folds), profile)
        with dsl.ParallelFor(numbers.output, parallelism=profile.parallelism) as fold:
            judges = trained(profile, data, *training, audit_folds=folds, audit_fold=fold)
        audit = components.audit_labels(
            **data, checkpoints=checkpoints, fold_checkpoints=dsl.Collected(judges)
        )
        reported(profile, data, audit, checkpoints=checkpoints, **tested)
    with dsl.Else():
        audit = components.audit_labels(**data, checkpoints=checkpoints)
        reported(profile, data, audit, checkpoints=checkpoints, **tested)


def reported(profile, data, audit, **run):
    """Places an audit, and chains the report of the run to it."""
    label_audit = placement.on_pool(audit, profile, min(profile.accelerators, 1))
    task = components.write_report(
        prepared_dataset=data["prepared_dataset"],
        noisy_labels=data["noisy_labels"],
        label_audit=label_audit.outputs["label_audit"],
        **run,
    )
    placement.on_cpu(task, profile)


def exported(profile, data, checkpoints):
    """Exports a model to serve, and on Vertex AI registers it if asked. Returns it."""
    task = components.export_model(
        prepared_dataset=data["prepared_dataset"],
        probe_split=data["probe_split"],
        checkpoints=checkpoints,
    )
    placement.on_pool(task, profile, min(profile.accelerators, 1))
    if profile.register_model:
        registered(profile, task.outputs["Output"])
    return task.outputs["exported_model"]


def registered(profile, saved_model):
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
    placement.retried(task, profile, profile.data_timeout_hours)


def tested_on_imagenet(profile, checkpoints, data, imagenet_val):
    """Evaluates a run on WebVision classes on the validation set of ImageNet."""
    images = prepared_data(profile, IMAGENET, data=data, imagenet_val=imagenet_val)
    return tested(profile, images, checkpoints, "imagenet")
