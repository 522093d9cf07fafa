"""The stages that the pipelines are chained from."""

import components


def noisy_data(dataset, noise, noise_ratio, probe_per_class, seed, **files):
    """Chains prepare -> inject noise, split probe. Returns what `train` takes of it."""
    data = components.prepare_dataset(dataset=dataset, **files)
    prepared_dataset = data.outputs["prepared_dataset"]
    noisy = components.inject_noise(
        prepared_dataset=prepared_dataset, noise=noise, noise_ratio=noise_ratio, seed=seed
    )
    probe = components.split_probe(
        prepared_dataset=prepared_dataset, per_class=probe_per_class, seed=seed
    )
    return {
        "prepared_dataset": prepared_dataset,
        "noisy_labels": noisy.outputs["noisy_labels"],
        "probe_split": probe.outputs["probe_split"],
    }


def tested_run(data, method, seed, settings):
    """Chains train -> evaluate. Returns the metrics."""
    trained = components.train(**data, method=method, seed=seed, settings=settings)
    evaluated = components.evaluate(
        prepared_dataset=data["prepared_dataset"], checkpoints=trained.outputs["checkpoints"]
    )
    return evaluated.outputs["metrics"]
