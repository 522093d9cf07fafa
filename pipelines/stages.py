"""The stages that the pipelines are chained from, each placed as a profile says."""

from kfp import dsl

import components
from pipelines import placement

IMAGENET = "imagenet2012_val"


def record_status(profile):
    """A block of tasks; how it ended is recorded, also after a failure."""
    task = components.record_status(run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
    placement.on_cpu(task, profile).set_caching_options(False)
    return dsl.ExitHandler(task, name="run")


def prepare_dataset(profile, display_name="", **inputs):
    """Returns the dataset."""
    task = components.prepare_dataset(**inputs)
    return placement.on_cpu(task, profile, display_name).outputs["prepared_dataset"]


def inject_noise(profile, **inputs):
    """Returns the noisy labels."""
    task = components.inject_noise(**inputs)
    return placement.on_cpu(task, profile).outputs["noisy_labels"]


def split_probe(profile, **inputs):
    """Returns the probe split."""
    return placement.on_cpu(components.split_probe(**inputs), profile).outputs["probe_split"]


def train(profile, inputs, display_name="train", **recipe):
    """Trains, with all the workers of the profile. Returns the checkpoints.

    Args:
      profile: `pipelines.launch.profiles.Profile`.
      inputs: Artifacts by name: prepared_dataset, noisy_labels and probe_split.
      display_name: Of the task.
      **recipe: method, seed, settings and checkpoint_root; of a fold audit_folds and audit_fold.
    """
    arguments = inputs | recipe
    if profile.workspace:
        arguments["checkpoint_root"] = dsl.WORKSPACE_PATH_PLACEHOLDER
    if profile.target == "vertex" and profile.custom_job:
        task = placement.as_custom_job(components.train, profile)(**arguments)
        return placement.of_training(task, profile, display_name).outputs["checkpoints"]
    if profile.workers == 1:
        names = [display_name]
    else:
        names = [f"{display_name}, worker {worker}" for worker in range(profile.workers)]
    tasks = [
        components.train(
            **arguments,
            worker=worker,
            workers=profile.workers,
            worker_minutes=profile.worker_minutes,
        )
        for worker in range(profile.workers)
    ]
    for task, name in zip(tasks, names):
        placement.on_pool(task, profile, profile.accelerators, name)
    return tasks[0].outputs["checkpoints"]


def evaluate(profile, prepared_dataset, checkpoints, name="test", display_name=""):
    """Evaluates on one accelerator. Returns the metrics."""
    task = components.evaluate(
        prepared_dataset=prepared_dataset, checkpoints=checkpoints, name=name
    )
    accelerators = min(profile.accelerators, 1)
    return placement.on_pool(task, profile, accelerators, display_name).outputs["metrics"]


def evaluate_on_imagenet(profile, checkpoints, data, imagenet_val):
    """Evaluates a run on WebVision classes on the validation set of ImageNet."""
    prepared_dataset = prepare_dataset(
        profile,
        display_name="prepare ImageNet",
        dataset=IMAGENET,
        data=data,
        imagenet_val=imagenet_val,
    )
    evaluate(profile, prepared_dataset, checkpoints, "imagenet", "evaluate on ImageNet")


def export_model(profile, inputs, checkpoints):
    """Exports a model to serve, and on Vertex AI registers it if asked. Returns it."""
    task = components.export_model(
        prepared_dataset=inputs["prepared_dataset"],
        probe_split=inputs["probe_split"],
        checkpoints=checkpoints,
    )
    placement.on_pool(task, profile, min(profile.accelerators, 1))
    if profile.register_model:
        register(profile, task.outputs["Output"])
    return task.outputs["exported_model"]


def register(profile, saved_model):
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


def audit_and_report(profile, inputs, recipe, folds, checkpoints, metrics, exported_model):
    """Audits the labels by the run, or for `folds` above 1 out of sample; then reports.

    Args:
      profile: `pipelines.launch.profiles.Profile`.
      inputs: Of `train`.
      recipe: Of `train`.
      folds: Pipeline parameter: how many runs each leave out a part of the training examples.
      checkpoints: Of the run.
      metrics: Of the run.
      exported_model: Of the run.
    """
    tested = {"metrics": metrics, "exported_model": exported_model}
    with dsl.If(folds > 1, name="audit by folds"):
        numbers = placement.on_cpu(components.number_folds(count=folds), profile).output
        with dsl.ParallelFor(numbers, name="folds", parallelism=profile.parallelism) as number:
            fold = {"audit_folds": folds, "audit_fold": number}
            fold_checkpoints = train(profile, inputs, "train without a fold", **recipe, **fold)
        audit = components.audit_labels(
            **inputs,
            checkpoints=checkpoints,
            fold_checkpoints=dsl.Collected(fold_checkpoints),
        )
        report(profile, inputs, audit, checkpoints=checkpoints, **tested)
    with dsl.Else(name="audit by the run"):
        audit = components.audit_labels(**inputs, checkpoints=checkpoints)
        report(profile, inputs, audit, checkpoints=checkpoints, **tested)


def report(profile, inputs, audit, **run):
    """Places an audit, and chains the report of the run to it."""
    label_audit = placement.on_pool(audit, profile, min(profile.accelerators, 1))
    task = components.write_report(
        prepared_dataset=inputs["prepared_dataset"],
        noisy_labels=inputs["noisy_labels"],
        label_audit=label_audit.outputs["label_audit"],
        **run,
    )
    placement.on_cpu(task, profile)


def compare_runs(profile, metrics):
    """Puts the metrics of several runs side by side."""
    placement.on_cpu(components.compare_runs(metrics=metrics), profile)
