"""An error in the middle of a training ends the process, whatever its input threads are doing."""

import subprocess
import sys

import pytest

from tests.image_files import write_images
from trainer.data import probe, records
from trainer.data.noise import injection
from trainer.settings.data import DataSettings

TIMES = 10  # each
FAILING = """
import itertools, os, signal, sys, time
import keras

from trainer.data import records
from trainer.training import configuration, fit

failing, times, root = sys.argv[1], int(sys.argv[2]), sys.argv[3]
read, reads, ended = records.EncodedImages.serialised, itertools.count(), itertools.count()

def slow(images, positions):
    number = next(reads)
    time.sleep(0.05)
    if failing == "input" and number == 5:
        raise OSError("the disk is gone")
    return read(images, positions)

def step_ends(step, logs):
    if failing == "loop" and next(ended) == 2:
        raise RuntimeError("the loop is broken")

records.EncodedImages.serialised = slow
for i in range(times):
    child = os.fork()
    if not child:
        signal.alarm(60)
        data = [f"{root}/{name}" for name in ("data", "noise", "probe")]
        outputs = f"{root}/{failing}-{i}", f"{root}/{failing}-{i}-model"
        few = {"batch_size": 4, "max_iteration": 1000, "image_size": 8, "backbone": "none"}
        settings = configuration.resolve("image_folder", method="supervised", **few)
        try:
            failing_step = keras.callbacks.LambdaCallback(on_train_batch_end=step_ends)
            fit.train(settings, *data, *outputs, callbacks=[failing_step])
        except Exception as raised:  # what a global holds lives until the interpreter shuts down
            error = raised
            raise
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("failing", ["input", "loop"])
def test_a_training_that_fails_ends(tmp_path, failing):
    photos = write_images(tmp_path / "photos", 20, size=(20, 16))
    records.prepare("image_folder", tmp_path / "data", DataSettings(data=str(photos)))
    injection.inject(tmp_path / "data", tmp_path / "noise", "none", 0.0, 0)
    probe.split(tmp_path / "data", tmp_path / "probe", 0, 0)
    command = [sys.executable, "-c", FAILING, failing, str(TIMES), tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.stdout.split() == ["1"] * TIMES, done.stderr[-2000:]
    assert done.stderr.count({"input": "the disk is gone", "loop": "the loop is broken"}[failing])
