import pytest

from tests import commands
from trainer.errors import InputError
from trainer.settings import experiments


@pytest.mark.parametrize("name", experiments.EXPERIMENTS)
def test_the_flags_of_each_are_accepted(name, tmp_path):
    """The flags pass all checks; the only error is that there is nothing to evaluate."""
    flags = f"--experiment={name}", "--mode=evaluation", f"--checkpoint_path={tmp_path}/out"
    done = commands.run("trainer", *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: checkpoints: must hold a manifest.json"), done.stderr


def test_flags_that_are_given_win():
    arguments = experiments.expand(["trainer", "--seed=3", "--experiment=ieg_cifar10_uniform_0.8"])
    assert arguments[0] == "trainer"
    assert arguments[-1] == "--seed=3"
    assert "--dataset=cifar10_uniform_0.8" in arguments


@pytest.mark.parametrize("form", ["--experiment=NAME", "--experiment NAME", "-experiment NAME"])
def test_the_name_may_follow_a_space(form):
    given = form.replace("NAME", "l2r_cifar10_uniform_0.4").split()
    arguments = experiments.expand(["trainer", "--seed=3", *given, "--batch_size=5"])
    assert arguments[-2:] == ["--seed=3", "--batch_size=5"]
    assert {"--method=l2r", "--dataset=cifar10_uniform_0.4"} <= set(arguments)
    assert not [a for a in arguments if "experiment" in a or a.startswith("l2r")]


@pytest.mark.parametrize("given", ["--probe_per_class=7", "--probe_dataset_hold_ratio=0.1"])
def test_either_size_of_the_probe_wins(given):
    arguments = experiments.expand(["trainer", given, "--experiment=ieg_cifar10_uniform_0.8"])
    assert [a for a in arguments if a.startswith("--probe")] == [given]


def test_an_unknown_one():
    with pytest.raises(InputError, match="--experiment: must be one of ieg_cifar10"):
        experiments.expand(["trainer", "--experiment=best"])
