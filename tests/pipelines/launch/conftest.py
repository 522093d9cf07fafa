import pytest
from absl import flags

from pipelines import __main__


@pytest.fixture
def parsed():
    """A function that parses flags as the command line does; in the end nothing is parsed."""

    def parse(*arguments):
        flags.FLAGS.unparse_flags()
        return flags.FLAGS(__main__.expand(["pipelines", *arguments]))[1:]

    yield parse
    flags.FLAGS.unparse_flags()


@pytest.fixture
def pipelines(parsed):
    """A function that does in this process what `python -m pipelines` does."""
    return lambda *arguments: __main__.main(parsed(*arguments))
