"""The stages that the pipelines are chained from."""

import components


def prepared_data(dataset, **files):
    """Prepares. Returns the dataset."""
    return components.prepare_dataset(dataset=dataset, **files).outputs["prepared_dataset"]


def noisy_data(prepared_dataset, probe, seed, **noise):
    """Chains inject noise and split probe to a dataset. Returns what `train` takes of it."""
    noisy = components.inject_noise(prepared_dataset=prepared_dataset, seed=seed, **noise)
    split = components.split_probe(prepared_dataset=prepared_dataset, seed=seed, **probe)
    return {
        "prepared_dataset": prepared_dataset,
        "noisy_labels": noisy.outputs["noisy_labels"],
        "probe_split": split.outputs["probe_split"],
    }


def tested_run(data, method, seed, settings):
    """Chains train -> evaluate. Returns the metrics."""
    trained = components.train(**data, method=method, seed=seed, settings=settings)
    evaluated = components.evaluate(
        prepared_dataset=data["prepared_dataset"], checkpoints=trained.outputs["checkpoints"]
    )
    return evaluated.outputs["metrics"]
