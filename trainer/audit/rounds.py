"""A run and its rounds of review: where they are, what a round starts from, what it gained.

<run>/
  run.json, ...          of `python -m pipelines run` or `python -m trainer`
  rounds/<k>/            a run after the k-th review
    decisions.csv        all decisions up to this round
    comparison.json      the measures of the run and of all rounds; written last
    comparison.html      the same as a page
"""

import contextlib
import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd

from trainer import artifacts
from trainer.audit import decisions, kept_labels
from trainer.audit.label_issues import TABLE
from trainer.audit.review import run_identity
from trainer.data import records
from trainer.errors import InputError, counted, listed

RUNS, ROUNDS = "runs", "rounds"
DECISIONS, COMPARISON, PAGE = "decisions.csv", "comparison.json", "comparison.html"
SHOWN = 12  # characters of an id in a message


def artifact_directory(root, kind):
    """The directory of an artifact of a run; a pipeline's run.json says where it is."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        return root / json.loads((root / "run.json").read_text())["artifacts"][kind]
    return root / kind


def read(root, kind):
    """The manifest of an artifact of a run."""
    return artifacts.read(artifact_directory(root, kind), kind)


def finished(root):
    """The directories of the finished rounds of a run, in order."""
    identity, found = run_identity(read(root, artifacts.LABEL_AUDIT)), []
    for file in (root / ROUNDS).glob(f"*/{COMPARISON}"):
        if file.parent.name.isdigit() and json.loads(file.read_text())["run"] == identity:
            found.append(file.parent)
    return sorted(found, key=lambda place: int(place.name))


def identities(root):
    """The identities of a run and of its rounds; none of them where it has no audit."""
    try:
        places = [root, *finished(root)]
        return {run_identity(read(place, artifacts.LABEL_AUDIT)) for place in places}
    except InputError:
        return set()


def find(rows, root, argument):
    """The directory of the run that decisions belong to: `root`, or one below `runs`.

    Args:
      rows: As from `trainer.audit.decisions.read`.
      root: `pathlib.Path` of the run, or None.
      argument: Flag that names it.

    Raises:
      InputError: The decisions are of another run, of another dataset, or of two runs.
    """
    if root:
        read(root, artifacts.LABEL_AUDIT)
    below = sorted(file.parent for n in ("*", "*/*") for file in Path(RUNS).glob(f"{n}/run.json"))
    known = {place: identities(place) for place in ([root] if root else below)}
    wanted = set(rows.run)
    found = [place for place, names in known.items() if wanted <= names]
    if not found:
        there = [f"{place} is run {', '.join(sorted(n))}" for place, n in known.items() if n]
        rule = f"must be of a run of {argument} or below {RUNS}: {listed(there) or 'there is none'}"
        raise InputError(decisions.FLAG, rule, f"decisions on run {', '.join(sorted(wanted))}")
    if len(found) > 1:
        rule = f"must be given: the run is in {listed(list(map(str, found)))}"
        raise InputError(argument, rule, None)
    dataset = read(found[0], artifacts.PREPARED_DATASET)["id"]
    others = sorted(set(rows.dataset) - {dataset})
    if others:
        rule = f"must be on dataset {dataset[:SHOWN]}, that of {found[0]}"
        raise InputError(decisions.FLAG, rule, f"decisions on dataset {others[0][:SHOWN]}")
    return found[0]


def start(root, rows):
    """What the next round of a run starts from.

    Args:
      root: Directory of the run.
      rows: New decisions.

    Returns:
      The directory of the round, its decisions, and earlier ones that new ones replace. The
      directory is that of a finished round if it has the same decisions.

    Raises:
      InputError: As `trainer.audit.decisions.check`.
    """
    read(root, artifacts.EXPORTED_MODEL)  # the comparison needs it at the end
    done = finished(root)
    earlier = decisions.read(done[-1] / DECISIONS) if done else None
    everything, replaced = decisions.merged(earlier, rows)
    dataset = read(root, artifacts.PREPARED_DATASET)
    issues = audited_table(root)
    given = np.full(dataset["num_examples"]["train"], -1, np.int32)
    trained = issues[issues.id < len(given)]
    given[trained.id] = pd.Index(dataset["class_names"]).get_indexer(trained.given_label)
    decisions.check(everything, dataset, issues.id.to_numpy(), given)
    if done and same(done[-1], everything):
        return done[-1], everything, replaced
    for number in itertools.count(int(done[-1].name) + 1 if done else 1):
        place = root / ROUNDS / str(number)
        if not place.exists() or (not is_finished(place) and same(place, everything)):
            return place, everything, replaced


def is_finished(place):
    return (place / COMPARISON).is_file()


def same(place, rows):
    """Whether a round has these decisions."""
    columns = ["id", "decision", "label"]
    with contextlib.suppress(InputError):
        return decisions.read(place / DECISIONS)[columns].equals(rows[columns])
    return False


def opening(root, place, rows, replaced):
    """What a round is about to do: its decisions, and earlier ones that new ones replace."""
    lines = [f"review of {root}, round {place.name}: {counted(len(rows), 'decision')}"]
    if len(replaced):
        lines.append(replaced_text(rows, replaced))
    return "\n".join(lines)


def replaced_text(rows, replaced):
    """A note on earlier decisions that new ones replace."""
    new = rows.set_index("id")
    said = [
        f"id {row.id} {spoken(row)} → {spoken(new.loc[row.id])}" for row in replaced.itertuples()
    ]
    return (
        f"note: new decisions replace earlier ones on {counted(len(said), 'label')}: {listed(said)}"
    )


def spoken(row):
    return f"{row.decision} {row.label}".rstrip()


def compare(root, places):
    """The measures of a run and its rounds.

    Args:
      root: Directory of the run.
      places: Directories of the rounds, in order.

    Returns:
      A dictionary for JSON: run, dataset, and rounds, a list of `measures` and `changes`.
    """
    dataset_path = artifact_directory(root, artifacts.PREPARED_DATASET)
    dataset, clean = records.read_manifest(dataset_path), records.read_clean_labels(dataset_path)
    given = audited_table(root).set_index("id").given_label
    ids = given.index[given.index < dataset["num_examples"]["train"]].to_numpy()
    clean = clean if np.all(clean[ids] >= 0) else None
    before, numbers = measures(root, ids, clean)
    rounds, earlier = [{"round": 0, "decisions": 0, "test_decisions": 0, **numbers}], None
    for place in places:
        rows = decisions.read(place / DECISIONS)
        corrected, numbers = measures(place, ids, clean)
        new = rows if earlier is None else difference(rows, earlier)
        changed = changes(new, given) | {"corrected": int(np.sum(corrected != before))}
        counts = {
            "decisions": len(rows),
            "test_decisions": int((rows.id >= dataset["num_examples"]["train"]).sum()),
        }
        rounds.append({"round": int(place.name), **counts, **numbers, "changes": changed})
        before, earlier = corrected, rows
    return {
        "run": run_identity(read(root, artifacts.LABEL_AUDIT)),
        "dataset": dataset["id"],
        "audited": len(ids),
        "test_labels_are_clean": dataset["test_labels_are_clean"],
        "rounds": rounds,
    }


def audited_table(root):
    """The table of the label audit of a run or a round."""
    return pd.read_parquet(artifact_directory(root, artifacts.LABEL_AUDIT) / TABLE)


def measures(place, ids, clean):
    """Corrected labels, int32 (N,) by id, and the measures of a run or a round.

    Args:
      place: Its directory.
      ids: int64, training examples that the first run has audited: the labels that are counted,
        except of those that a reviewer dropped.
      clean: int32 (N,), true labels by id, or None if they are not known.
    """
    audit, issues = read(place, artifacts.LABEL_AUDIT), audited_table(place)
    path = artifact_directory(place, artifacts.LABEL_AUDIT)
    corrected = np.load(path / "corrected_labels.npy")
    issues = issues[issues.id < len(corrected)]
    kept, given = ids[corrected[ids] >= 0], corrected.copy()
    given[issues.id] = pd.Index(audit["class_names"]).get_indexer(issues.given_label)
    found = estimated(issues, audit, kept, len(corrected))
    if clean is not None:
        found["true/labels_right"] = float((given == clean)[kept].mean())
        found["true/labels_right_corrected"] = float((corrected == clean)[kept].mean())
    exported = read(place, artifacts.EXPORTED_MODEL)
    of_model = {name: exported[name] for name in ("trusted/top1", "test/top1") if name in exported}
    return corrected, found | of_model | {"trusted_images": exported["calibrated_on"]}


def estimated(issues, audit, kept, count):
    """Estimated fractions of labels that are right, before and after correction, with their ranges.

    The ranges come from that of the noise rate and from trusted images. Reviewed labels count as
    right.

    Args:
      issues: Rows of the audit of training images.
      audit: Its manifest.
      kept: int64, ids of the labels that are counted.
      count: Number of training images.
    """
    given = 1 - issues.label_score.to_numpy()
    corrected = np.where(issues.corrected, 1 - issues.p_suggested, given)
    wrong_by_name = {
        "labels_right": kept_labels.at_noise_rates(given, audit),
        "labels_right_corrected": kept_labels.wrong_at_ends(corrected, audit),
    }
    found = {}
    for name, ends in wrong_by_name.items():
        for end, probability in ends.items():
            wrong = np.zeros(count)
            wrong[issues.id] = probability
            suffix = "" if end == "estimated" else f"_{end}"
            found[f"estimated/{name}{suffix}"] = float(1 - wrong[kept].mean())
    return found


def difference(rows, earlier):
    """The decisions of `rows` that `earlier` does not have."""
    columns = ["id", "decision", "label"]
    both = rows.merge(earlier[columns], on=columns, how="left", indicator=True)
    return both[both._merge == "left_only"].drop(columns="_merge")


def changes(rows, given):
    """Counts of new decisions: of each kind, and of each pair of given and decided class.

    Args:
      rows: The decisions.
      given: Series of given labels, names by id.
    """
    kinds = rows.decision.value_counts()
    relabelled = rows[rows.decision == decisions.RELABEL]
    pairs = pd.Series(zip(given[relabelled.id], relabelled.label), dtype=object).value_counts()
    return {
        **{name: int(kinds.get(name, 0)) for name in decisions.DECISIONS},
        "pairs": [[*pair, int(count)] for pair, count in pairs.items()],
    }
