"""Trains again after a review, on this machine, as a further run of the same pipeline.

Kfp reuses the tasks of the first run that the review does not change: images are prepared, and
embedded, once.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path

from pipelines.launch import ending, run
from pipelines.launch.output_directory import RECORD
from pipelines.launch.paths import absolute
from trainer import artifacts
from trainer.audit import decisions, rounds
from trainer.errors import InputError
from trainer.report import rounds as comparison

PIPELINE = "training"


def review(file, profile, output_dir=None, runner=None, gpus=None):
    """Runs the next round of review of a run, and prints what it has gained.

    Args:
      file: Path of decisions.csv.
      profile: `pipelines.launch.profiles.Profile` for this machine.
      output_dir: Directory of the run; found below runs/ by the decisions unless given.
      runner: subprocess or docker; that of the run unless given.
      gpus: As for `pipelines.launch.run.run`.

    Raises:
      InputError: The decisions are wrong, or of another run.
      SystemExit: As `pipelines.launch.run.run`.
    """
    rows = decisions.read(file)
    root = rounds.find(rows, Path(output_dir) if output_dir else None, "--output_dir")
    record = read_record(root)
    place, everything, replaced = rounds.start(root, rows)
    if rounds.is_finished(place):
        content = json.loads((place / rounds.COMPARISON).read_text())
        print(f"{place} has these decisions\n\n{comparison.text(content)}")
        return
    print(rounds.opening(root, place, everything, replaced), flush=True)
    carry_out(root, place, record, everything, profile, runner or record["runner"], gpus)


def read_record(root):
    """The record of a run of the training pipeline, with its parameters."""
    record = json.loads((root / RECORD).read_text())
    if "command" not in record:
        rule = "must be a run of python -m pipelines; for this one: python -m trainer --mode=review"
        raise InputError("--output_dir", rule, str(root))
    if "parameters" not in record or record["command"]["pipeline"] != PIPELINE:
        rule = "must be a run of the training pipeline by this version; run its command again"
        raise InputError("--output_dir", rule, str(root))
    return record


def carry_out(root, place, record, rows, profile, runner, gpus):
    """Runs the pipeline with these decisions, into the directory of the round."""
    file = place / rounds.DECISIONS
    parameters = record["parameters"] | {"decisions": str(file.resolve())}
    pipeline, spec = run.built_here(PIPELINE, profile, parameters)
    _, paths = absolute(record["parameters"])
    kfp_runner = run.choose(runner, spec, {*paths, str(root.resolve())}, gpus, profile)
    seen = hashlib.sha256(rows.to_csv().encode()).hexdigest()
    directory = run.claim(
        PIPELINE, parameters, [spec, seen, record["version"], runner], place, resume=profile.cache
    )
    decisions.write(rows, file)
    reuse(root / record["tasks"], directory.tasks)
    run.place(kfp_runner, directory, profile.cache)
    run.carry_out(pipeline, spec, parameters, directory, profile, runner)
    first = rounds.artifact_directory(root, artifacts.PREPARED_DATASET)
    content, places = run.conclude(
        PIPELINE, directory, {artifacts.PREPARED_DATASET: first.resolve()}
    )
    gained = f"{comparison.write(root, place)}\ncomparison: {place / rounds.PAGE}"
    sys.stdout.write(ending.say(PIPELINE, place, content, places, gained))


def reuse(first, tasks):
    """Lets a round find what the first run has finished, beside what it has finished itself."""
    if (first / run.FINISHED).is_dir():
        shutil.copytree(first / run.FINISHED, tasks / run.FINISHED, dirs_exist_ok=True)
