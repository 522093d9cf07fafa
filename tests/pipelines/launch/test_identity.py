"""Which commands are the same run."""

import pytest

from pipelines.launch import identity, parameters, training_flags


@pytest.fixture
def resolved(parsed):
    """A function from flags to the identity of the run."""

    def resolve(pipeline, *given):
        parsed("run", *given)
        return identity.resolved(parameters.resolve(pipeline, *training_flags.chosen(pipeline)))

    return resolve


@pytest.mark.parametrize("pipeline", ["training", "sweep"])
def test_a_flag_with_its_default_makes_no_other_run(resolved, pipeline):
    plain = resolved(pipeline)
    for flag in ("--seed=0", "--momentum=0.9", "--nojit_compile"):
        assert resolved(pipeline, flag) == plain, flag
    for flag in ("--seed=1", "--momentum=0.8", "--jit_compile"):
        assert resolved(pipeline, flag) != plain, flag


def test_the_recipe_of_a_dataset_and_of_a_method_is_the_default(resolved):
    plain = resolved("training", "--method=robust")
    same = ("--batch_size=300", "--max_iteration=600", "--noise=uniform", "--noise_ratio=0.9")
    assert resolved("training", "--method=robust", *same) == plain
    assert resolved("training", "--method=robust", "--batch_size=100") != plain
    assert resolved("training", "--audit_folds=0", "--label_case=fail") == resolved("training")


def test_runs_of_a_sweep_have_defaults_of_their_own(resolved):
    two = "--methods=supervised,ieg"
    assert resolved("sweep", two, "--batch_size=100") == resolved("sweep", two)
    three = "--methods=supervised,robust"
    assert resolved("sweep", three, "--batch_size=100") != resolved("sweep", three)
