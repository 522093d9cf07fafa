import pytest
from absl import flags

from trainer import __main__, config, experiments
from trainer.errors import InputError


@pytest.mark.parametrize("name", experiments.EXPERIMENTS)
def test_the_flags_of_each_are_ours(name):
    parsed = flags.FLAGS
    parsed.unparse_flags()
    parsed(experiments.expand(["trainer", f"--experiment={name}", "--seed=3"]))
    dataset, noise, ratio = config.parse_dataset(__main__.DATASET.value)
    data = config.DataConfig(data="set" if dataset in config.FILES else "")
    config.check_data(dataset, noise, ratio, 1, data)
    given = __main__.command_line.given(config.TrainConfig)
    assert config.resolve(dataset, **given).seed == 3


def test_flags_that_are_given_win():
    arguments = experiments.expand(["trainer", "--seed=3", "--experiment=ieg_cifar10_uniform_0.8"])
    assert arguments[0] == "trainer"
    assert arguments[-1] == "--seed=3"
    assert "--dataset=cifar10_uniform_0.8" in arguments


def test_an_unknown_one():
    with pytest.raises(InputError, match="--experiment: must be one of ieg_cifar10"):
        experiments.expand(["trainer", "--experiment=best"])
