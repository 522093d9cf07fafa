"""Memory of a preparation, a full disk, and an interrupted preparation."""

import io
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from trainer import artifacts
from trainer.data import records
from trainer.errors import InputError
from trainer.settings.data import DataSettings

PREPARE = """
import resource, sys
from trainer.settings.data import DataSettings
from trainer.data import records

written = records.prepare("image_folder", sys.argv[2], DataSettings(data=sys.argv[1]))
print(written["id"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def write_images(root, count):
    """Small JPEG files of ten classes that differ by what follows their end."""
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(256, size=(16, 16, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(file, "JPEG")
    for i in range(10):
        (root / f"class {i}").mkdir(parents=True)
    for i in range(count):
        (root / f"class {i % 10}" / f"{i:06d}.jpg").write_bytes(file.getvalue() + b"%d" % i)
    return root


def prepare(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", PREPARE, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.slow
def test_memory_hardly_grows_with_the_number_of_images(tmp_path):
    peaks = []
    for count in (10_000, 100_000):
        root = write_images(tmp_path / str(count), count)
        output, _ = prepare(root, tmp_path / f"{count} prepared").communicate()
        peaks.append(int(output.split()[-1]))
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.slow
def test_one_that_was_killed_is_not_there_and_starts_again(tmp_path):
    root, out = write_images(tmp_path / "images", 6_000), tmp_path / "out"
    killed = prepare(root, out)
    while not (tmp_path / "out.partial" / "image_folder-train.array_record-00000").is_file():
        assert killed.poll() is None
        time.sleep(0.005)
    killed.kill()
    killed.wait()
    with pytest.raises(InputError, match="does not exist"):
        records.read_manifest(out)
    again = records.prepare("image_folder", out, DataSettings(data=root))
    whole = records.prepare("image_folder", tmp_path / "whole", DataSettings(data=root))
    assert again["id"] == whole["id"]
    assert len(records.EncodedImages(out, "train")) == 4_800


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 256 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True).returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("mounting a disk needs root")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk(small_disk, tmp_path):
    root = write_images(tmp_path / "images", 1_000)
    with pytest.raises(InputError, match="output directory: must be on a disk with enough room"):
        records.prepare("image_folder", small_disk / "out", DataSettings(data=root))
    assert not list(small_disk.iterdir())


@pytest.mark.slow
def test_a_run_resumes_after_a_full_disk(small_disk):
    """The command names the full disk; with more room it resumes."""
    command = [sys.executable, "-m", "trainer", "--method=supervised", "--max_iteration=4"]
    command += ["--eval_freq=2", f"--checkpoint_path={small_disk}/run"]
    sizes = {"2m": 2, "8m": 0}
    for size, status in sizes.items():
        subprocess.run(["mount", "-o", f"remount,size={size}", small_disk], check=True)
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        if status:
            assert "error: output directory: must be on a disk with enough room" in done.stderr
    artifacts.read(small_disk / "run" / artifacts.METRICS, artifacts.METRICS)
