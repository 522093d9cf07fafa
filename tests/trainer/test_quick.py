"""What a command does not import, and what it can import afterwards."""

import subprocess
import sys

import pytest

FIRST_IMPORT = """
import gc, sys
from trainer import quick

quick.command()
import {first}
import keras, tensorflow

assert not set(quick.OPTIONAL) & set(sys.modules)
assert gc.isenabled() and gc.get_freeze_count() > 100_000
import matplotlib, pandas, sklearn
assert keras.ops.sum(keras.layers.Dense(1)(tensorflow.ones((1, 2)))).shape == ()
"""


@pytest.mark.parametrize("first", ["keras", "tensorflow"])
def test_keras_leaves_alone_what_this_project_does_not_call(first):
    code = FIRST_IMPORT.format(first=first)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not done.returncode and not done.stderr, done.stderr
