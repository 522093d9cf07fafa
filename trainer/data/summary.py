"""The summary of a preparation: numbers of images, and of files left out or converted."""

import re
from collections import Counter

import numpy as np

from trainer.errors import printable

SHOWN = 8  # classes, reasons


def count_data(source, labels):
    """Counts for the manifest.

    Args:
      source: `trainer.data.sources.source.Source`.
      labels: int32 (N,) of each split.
    """
    names = source.class_names
    counts = {split: np.bincount(y, minlength=len(names)) for split, y in labels.items()}
    return {
        "images": {split: dict(zip(names, n.tolist())) for split, n in counts.items()},
        "left_out": len(source.left_out),
        "left_out_reasons": kinds(reason for _, reason in source.left_out),
        "converted": len(source.converted),
        "conversions": kinds(what for _, what in source.converted),
        "notes": tuple(map(printable, source.notes)),
    }


def kinds(reasons):
    """Number of files by reason, where details of single files are dropped."""
    detail = r" \(|(?<=same file) as |(?<=same image) as |(?<=orientation) "
    return dict(Counter(re.split(detail, reason)[0] for reason in reasons).most_common())


def lines(found, directory):
    """The counts as lines for the screen.

    Args:
      found: The result of `count_data`, or the manifest that has it.
      directory: Where left_out.csv, converted.csv and duplicates.csv are.
    """
    for split, counts in found["images"].items():
        yield printable(f"{split}: {sum(counts.values()):,} images, {some(counts)}")
    yield from found["notes"]
    for name, by in (("left_out", "left_out_reasons"), ("converted", "conversions")):
        if found[name]:
            verb = "are" if found[name] > 1 else "is"
            files = f"{found[name]} file{'s' * (found[name] > 1)} {verb} {name.replace('_', ' ')}"
            yield f"{files} ({some(found[by])}); {directory}/{name}.csv lists them"
    if images := found.get("repeated_images"):
        labels, parts = found["images_under_two_labels"], found["images_in_two_parts"]
        yield (
            f"{images} images occur more than once, {labels} of them under two labels or more,"
            f" {parts} in two of train, trusted and test; {directory}/duplicates.csv lists them"
        )


def some(counts):
    """Text such as "cat: 12, dog: 8", with at most SHOWN of them."""
    shown = [f"{name}: {number:,}" for name, number in list(counts.items())[:SHOWN]]
    return ", ".join(shown + ["..."] * (len(counts) > SHOWN))
