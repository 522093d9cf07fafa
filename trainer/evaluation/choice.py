"""The choice of `--backbone=auto`: cross-validation on trusted images decides between candidates.

<backbone_choice>/manifest.json   chosen, rows (one for each candidate) and sentence
<comparison>/
  folds/<n>/probe_split       the probe without the trusted images of a fold
  <candidate>/<share>/<n>/    its run without the fold, of a share of its steps in percent:
                              checkpoints, model

Each candidate predicts the trusted images of each fold by a run that has not seen them. A later
candidate takes more time, and replaces the chosen one only if it is right on more of the same
images by more than the standard error of the difference, as in McNemar's test (Psychometrika,
1947): the root of the number of images on which one of the two is right. A network from scratch
takes a quarter of its steps, and all of them only if that leaves the comparison open. M held-out
images.
"""

import contextlib
import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from tabulate import tabulate

from trainer import artifacts, backbones
from trainer.data import probe, records
from trainer.errors import InputError
from trainer.evaluation import predictions
from trainer.training import candidates, fit, resume
from trainer.training.candidates import EMBEDDINGS, FINETUNING, SCRATCH

FOLDS = 2
ENOUGH = 0.99  # accuracy of embeddings from which on nothing else is tried
FACTS = ("chosen", "rows", "sentence")


@dataclass(frozen=True)
class Outcome:
    """What a candidate made of the held-out images.

    Attributes:
      right: bool (M,), in the same order for all candidates.
      seconds: Of its runs.
      steps: Of each of the last ones.
      share: Which part of the steps of a whole run these are, in (0, 1].
    """

    right: np.ndarray
    seconds: float
    steps: int
    share: float = 1

    @property
    def accuracy(self):
        return float(self.right.mean())

    @property
    def standard_error(self):
        return math.sqrt(self.accuracy * (1 - self.accuracy) / len(self.right))


def choose(data, place, output_path, settings, train, left_out=None):
    """Chooses a candidate, unless that has been done.

    Args:
      data: Directories of dataset, noisy labels and probe split, by the name of the argument of
        `trainer.training.fit.train`.
      place: Directory of the comparison, which resumes there.
      output_path: Directory of the choice.
      settings: Settings of each candidate, by its name, as `candidates.candidates` gives them.
      train: Function of the settings of a candidate, a directory and `data` with another probe
        split; it trains there, and returns the `embeddings_path` of the run, None without.
      left_out: Why a candidate is not to be tried, by its name.

    Returns:
      What the manifest of the run says about the choice: FACTS.
    """
    dataset = records.read_manifest(data["dataset_path"])
    split = probe.read_split(data["probe_split_path"], dataset)[2]
    parents = {manifest["kind"]: manifest for manifest in (dataset, split)}
    with contextlib.suppress(InputError):
        return read(output_path, *parents.values())
    tried, reasons = {}, {}
    for name, config in settings.items():
        reasons[name] = (left_out or {}).get(name) or reason_against(name, tried, split)
        if not reasons[name]:
            print(f"--backbone=auto tries {label(name, config)} on {FOLDS} folds of trusted images")
            tried[name] = try_out(data, place, name, config, train, tried.get(decide(tried)))
    chosen = decide(tried)
    facts = {
        "chosen": chosen,
        "rows": [
            row(name, config, tried.get(name), reasons[name]) | {"chosen": name == chosen}
            for name, config in settings.items()
        ],
        "sentence": sentence(tried, chosen, settings),
    }
    with artifacts.writing(output_path) as directory:
        artifacts.finish(directory, artifacts.BACKBONE_CHOICE, parents, **facts)
    return facts


def read(path, *parents):
    """FACTS of the choice in a directory; InputError unless it was made from these manifests."""
    made = artifacts.read(path, artifacts.BACKBONE_CHOICE)
    for parent in parents:
        artifacts.check_parent(made, parent)
    return {name: made[name] for name in FACTS}


def chosen(path, dataset, **given):
    """The settings of the candidate that was chosen, and what its run says about the choice.

    Args:
      path: Directory of the choice.
      dataset: Manifest of the prepared dataset.
      **given: As for `candidates.candidates`.
    """
    found = read(path, dataset)
    settings = candidates.candidates(dataset["source"], **given)[found["chosen"]]
    return settings, {artifacts.BACKBONE_CHOICE: found}


def training_on(embeddings_path, root=""):
    """A `train` for `choose` of candidates on images or on these embeddings.

    Args:
      embeddings_path: Directory of the embeddings.
      root: As for `trainer.training.resume.train`.
    """

    def train(config, place, data):
        seen = embeddings_path if config.backbone != backbones.NONE else None
        resume.train(
            config,
            [data[name] for name in ("dataset_path", "noisy_labels_path", "probe_split_path")],
            checkpoints_path=place / artifacts.CHECKPOINTS,
            model_path=place / artifacts.MODEL,
            root=root,
            embeddings_path=seen,
        )
        return seen

    return train


def reason_against(name, tried, split):
    """Why a candidate is not tried; "" if it is."""
    if split["per_class"] < FOLDS:
        return f"there are fewer than {FOLDS} trusted images of each class"
    if EMBEDDINGS in tried and tried[EMBEDDINGS].accuracy >= ENOUGH:
        return f"embeddings reach {ENOUGH:.0%}"
    if name == FINETUNING and not tf.config.list_physical_devices("GPU"):
        return "no GPU is visible"
    return ""


def try_out(data, place, name, config, train, best):
    """The `Outcome` of a candidate, of the fewest steps that compare it with the best one."""
    seconds = 0.0
    for share, budget in candidates.budgets(name, config).items():
        runs = [place / name / f"{100 * share:.0f}" / str(number) for number in range(FOLDS)]
        found = outcome(data, place, runs, budget, train)
        seconds += found.seconds
        if not best or is_ahead(found, best) or is_ahead(best, found):
            break
    return dataclasses.replace(found, seconds=seconds, share=share)


def outcome(data, place, runs, config, train):
    """Trains a candidate without each fold, and predicts the fold: its `Outcome`."""
    right, seconds = [], 0.0
    clean = records.read_clean_labels(data["dataset_path"])
    for number, run_path in enumerate(runs):
        split_path, held = without_fold(data, place / "folds" / str(number), number)
        embeddings_path = train(config, run_path, data | {"probe_split_path": split_path})
        method, run = fit.restore(run_path / artifacts.CHECKPOINTS, embeddings_path)
        logits = predictions.predict_logits(data["dataset_path"], method, "train", held)
        right.append(logits.argmax(axis=1) == clean[held])
        seconds += run["seconds"]
    return Outcome(np.concatenate(right), seconds, run["config"]["max_iteration"])


def without_fold(data, place, number):
    """Writes the probe split without a fold. Returns its directory and the ids of the fold.

    The probe is in class order, so that every FOLDS-th round of the classes is a fold.
    """
    dataset = records.read_manifest(data["dataset_path"])
    probe_ids, train_ids, split = probe.read_split(data["probe_split_path"], dataset)
    C, ids = len(dataset["class_names"]), np.arange(dataset["num_examples"]["train"])
    in_fold = np.arange(len(probe_ids)) // C % FOLDS == number
    kept, held = probe_ids[~in_fold], probe_ids[in_fold]
    facts = {"per_class": len(kept) // C, "hold_ratio": 0.0, "seed": split["seed"]}
    path = place / artifacts.PROBE_SPLIT
    spare = np.setdiff1d(ids, np.concatenate([train_ids, kept]))
    probe.write(path, dataset, kept, spare, **facts)
    return path, held


def decide(tried):
    """The name of the candidate to take, of `Outcome`s by name, those that take less time first."""
    chosen = EMBEDDINGS
    for name in tried:
        if is_ahead(tried[name], tried[chosen]):
            chosen = name
    return chosen


def is_ahead(one, other):
    """Whether an `Outcome` is ahead of another by more than the standard error."""
    lead = one.right.sum() - other.right.sum()
    return lead > math.sqrt((one.right != other.right).sum())


def label(name, config):
    return {
        EMBEDDINGS: f"head on embeddings of {Path(config.backbone).name}",
        FINETUNING: f"{Path(config.backbone).name}, fine-tuned",
        SCRATCH: f"{config.network_name} from scratch",
    }[name]


def row(name, config, found, reason):
    """A candidate in words and numbers, by the heading of the column."""
    if not found:
        blank = dict.fromkeys(("accuracy", "standard_error", "seconds"))
        return {"candidate": label(name, config), "budget": f"not tried: {reason}"} | blank
    budget = f"{found.steps:,} steps"
    if found.share < 1:
        budget += f", {found.share:.0%} of its run: a lower bound"
    return {
        "candidate": label(name, config),
        "budget": budget,
        "accuracy": found.accuracy,
        "standard_error": found.standard_error,
        "seconds": round(found.seconds, 1),
    }


def sentence(tried, chosen, settings):
    """The choice in words."""
    named = label(chosen, settings[chosen])
    if not tried:
        return f"{named}: there are fewer than {FOLDS} trusted images of each class to compare on"
    results = "; ".join(
        f"{label(name, settings[name])} {found.accuracy:.1%} (standard error"
        f" {found.standard_error:.1%})"
        for name, found in tried.items()
    )
    count = len(tried[chosen].right)
    return f"{named}, by accuracy on {count:,} held-out trusted images: {results}"


def text(facts):
    """The choice as Markdown."""
    return f"{facts['sentence']}\n\n{tabulate(facts['rows'], 'keys', 'github')}\n"
