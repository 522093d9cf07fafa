import pytest
import tensorflow as tf

from trainer import config, evaluate, fit
from trainer.data import noise, probe, records

# Two devices for tests of replicas; a computation still runs on the first unless told otherwise.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """The prepared digits."""
    path = tmp_path_factory.mktemp("digits") / "prepared_dataset"
    records.prepare("digits", path)
    return path


@pytest.fixture(scope="session")
def noisy_labels(digits, tmp_path_factory):
    """90% uniform noise on the digits."""
    path = tmp_path_factory.mktemp("noise") / "noisy_labels"
    noise.inject(digits, path, "uniform", 0.9, seed=0)
    return path


@pytest.fixture(scope="session")
def probe_split(digits, tmp_path_factory):
    """10 trusted digits per class."""
    path = tmp_path_factory.mktemp("probe") / "probe_split"
    probe.split(digits, path, per_class=10, seed=0)
    return path


@pytest.fixture(scope="session")
def trained(digits, noisy_labels, probe_split, tmp_path_factory):
    """A function that trains a method for a few steps. Returns its directory."""

    def train(method, **settings):
        root = tmp_path_factory.mktemp(method)
        settings = config.resolve("digits", method=method, **settings)
        fit.train(settings, digits, noisy_labels, probe_split, root / "checkpoints", root / "model")
        return root

    return train


@pytest.fixture(scope="session")
def supervised_run(trained, digits):
    """20 supervised steps, and their metrics."""
    root = trained("supervised", max_iteration=20, eval_freq=20)
    evaluate.evaluate(digits, root / "checkpoints", root / "metrics")
    return root
