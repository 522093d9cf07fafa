"""The injected noise as a page to look at: the matrix that was wanted, and what came of it."""

import html
import io
from pathlib import Path

import numpy as np

from trainer import manifest

MOST_NUMBERS, MOST_NAMES = 15, 30  # classes up to which cells have numbers and axes have names

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Label noise</title>
<style>
body {{ font-family: sans-serif; margin: 1rem; color: #1a1a1a; background: #ffffff }}
svg {{ max-width: 100%; height: auto }}
</style>
<h1>Label noise</h1>
<p>{sentence}</p>
{picture}
</html>
"""


def page(noisy_labels_path, class_names):
    """HTML with two heat maps, complete in itself.

    Args:
      noisy_labels_path: Directory of noisy labels.
      class_names: The C names.
    """
    directory = Path(noisy_labels_path)
    facts = manifest.read(directory, manifest.NOISY_LABELS)
    matrices = {
        "Wanted": np.load(directory / "transition.npy"),
        "As it came out": np.load(directory / "realised.npy"),
    }
    picture = draw(matrices, class_names)
    return PAGE.format(sentence=html.escape(sentence(facts)), picture=picture)


def sentence(facts):
    """What noise it is, from the manifest of noisy labels."""
    wrong = facts["wrong_labels"]
    share = "unknown, as the truth is" if wrong is None else f"{wrong:.1%}"
    return (
        f"Noise {facts['noise']}, ratio {facts['noise_ratio']:g}, seed {facts['seed']}."
        f" Share of labels that are wrong: {share}."
        " Each row says what the labels of a class became."
    )


def draw(matrices, class_names):
    """An SVG picture with a heat map for each (C, C) matrix of probabilities."""
    import matplotlib
    from matplotlib.figure import Figure

    # The same bytes each time, and names as text.
    with matplotlib.rc_context({"svg.hashsalt": "noise", "svg.fonttype": "none"}):
        figure = Figure(figsize=(13, 6.2), layout="constrained")
        for axes, (title, matrix) in zip(figure.subplots(1, 2), matrices.items(), strict=True):
            shown = axes.imshow(matrix, vmin=0, vmax=1, cmap="Blues")
            label(axes, title, matrix, class_names)
        figure.colorbar(shown, ax=figure.axes, label="probability", shrink=0.8)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    svg = file.getvalue()
    return svg[svg.index("<svg") :]


def label(axes, title, matrix, class_names):
    axes.set(title=title, xlabel="given label", ylabel="published label")
    if len(class_names) <= MOST_NAMES:
        # A dollar sign would begin a formula.
        names = [shortened(name).replace("$", r"\$") for name in class_names]
        axes.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 2 else 0)
        axes.set_yticks(range(len(names)), names)
    if len(class_names) <= MOST_NUMBERS:
        for (row, column), value in np.ndenumerate(matrix):
            colour = "white" if value > 0.5 else "black"
            if value:
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour)


def shortened(name):
    return name if len(name) <= 20 else name[:19] + "…"
