"""Compares a run with its rounds of review: a table for the terminal, and a page."""

from tabulate import tabulate

from trainer import artifacts
from trainer.audit import decisions, rounds
from trainer.errors import counted
from trainer.report import page

LABELS = {
    "true/labels_right": "labels right",
    "true/labels_right_corrected": "labels right after correction",
    "estimated/labels_right": "labels right, estimated",
    "estimated/labels_right_corrected": "labels right after correction, estimated",
}
PAIRS = 20  # of classes that a page lists for each round


def write(root, place):
    """Writes comparison.html and comparison.json of a round, which is then finished.

    Args:
      root: Directory of the run.
      place: Directory of its new round.

    Returns:
      The table for the terminal.
    """
    content = rounds.compare(root, [*rounds.finished(root), place])
    rows = table_rows(content)
    page.write_page(
        place / rounds.PAGE,
        "rounds.html.jinja",
        title=f"{root.resolve().name}: rounds of review",
        sentence=sentence(content),
        rows=rows,
        note=note_on_tests(content),
        changes=change_rows(content),
        pairs=[(each["round"], pairs(each)) for each in content["rounds"][1:]],
    )
    artifacts.write_json(place / rounds.COMPARISON, content)
    return text(content)


def text(content):
    """The table of a comparison for the terminal, and what has changed in the last round."""
    table = tabulate(table_rows(content), headers="keys", disable_numparse=True)
    said = ", ".join(f"{count} {name}" for name, count in changes(content["rounds"][-1]).items())
    lines = [f"round {content['rounds'][-1]['round']}: {said}", note_on_tests(content)]
    return f"{table}\n\n" + "".join(f"{line}\n" for line in lines if line)


def note_on_tests(content):
    """What decisions on test images do; "" if there are none."""
    count = content["rounds"][-1]["test_decisions"]
    if not count:
        return ""
    return (
        f"{count:,} of the decisions {'is' if count == 1 else 'are'} on test images:"
        " clean_manifest.csv has these labels corrected. Agreement with test labels is by the"
        " labels as they came, so that rounds can be compared."
    )


def table_rows(content):
    """A row for each measure, a column for the run and for each round: dictionaries of text."""
    measured = content["rounds"]
    names = ["before review", *(f"round {each['round']}" for each in measured[1:])]
    rows = {"decisions": [f"{each['decisions']:,}" for each in measured]}
    known = {name: title for name, title in LABELS.items() if name in measured[0]}
    known |= {
        "trusted/top1": f"accuracy on {measured[0]['trusted_images']} held-out trusted images"
    }
    clean = content["test_labels_are_clean"]
    known["test/top1"] = "test accuracy" if clean else "agreement with test labels"
    for name, title in known.items():
        if all(name in each for each in measured):
            rows[title] = [with_range(each, name) for each in measured]
    return [{"": title} | dict(zip(names, values)) for title, values in rows.items()]


def with_range(measured, name):
    """A fraction in words, with its range if it is an estimate."""
    if f"{name}_low" not in measured:
        return f"{measured[name]:.1%}"
    return f"{measured[name]:.1%} ({measured[f'{name}_low']:.1%}–{measured[f'{name}_high']:.1%})"


def changes(measured):
    """Numbers of new decisions of a round by kind, and of corrected labels that have changed."""
    counts = {name: measured["changes"][name] for name in decisions.DECISIONS}
    return counts | {"corrected labels changed": measured["changes"]["corrected"]}


def change_rows(content):
    """A row for each kind of change, a column for each round: dictionaries of text."""
    reviews = {f"round {each['round']}": changes(each) for each in content["rounds"][1:]}
    kinds = next(iter(reviews.values()))
    return [
        {"": kind} | {name: f"{found[kind]:,}" for name, found in reviews.items()} for kind in kinds
    ]


def pairs(measured):
    """The commonest pairs of given and decided class."""
    found = measured["changes"]["pairs"][:PAIRS]
    return [{"given label": g, "decided label": d, "labels": count} for g, d, count in found]


def sentence(content):
    """The gain in words."""
    first, last = content["rounds"][0], content["rounds"][-1]
    known = "true/labels_right" in first
    name = f"{'true' if known else 'estimated'}/labels_right_corrected"
    by = "" if known else ", by estimate"
    before, after = (with_range(each, name) for each in (first, last))
    return (
        f"{counted(last['decisions'], 'decision')}: after correction {before} → {after} of"
        f" {content['audited']:,} training labels are right{by}."
    )
