"""A page that shows label noise: the transition matrix that was wanted, and what came of it.

One HTML file with nothing outside it. C classes.
"""

import html
import io
import warnings
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from trainer import manifest
from trainer.data import records

MOST_NUMBERED = 15  # classes up to which cells have numbers
MANY = 50  # classes from which pictures are large
MOST_NAMES = 100  # of classes along an axis
LONGEST_NAME = 16  # letters
PANELS = {"transition.npy": "Wanted", "realised.npy": "What came of it"}
SHADES = PowerNorm(0.5, vmin=0, vmax=1)  # the square root: 100 classes at 0.009 each can be seen
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # addresses, and the date

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Label noise</title>
<style>
:root {{ color-scheme: light }}
body {{ background: white; color: #222; font: 15px sans-serif; margin: 16px }}
main {{ display: flex; flex-wrap: wrap; gap: 8px 16px }}
figure {{ margin: 0; flex: 1 1 {narrowest}px; max-width: {widest}px }}
figcaption {{ font-weight: bold; margin: 8px 0 }}
svg {{ max-width: 100%; height: auto }}
</style>
</head>
<body>
<p>{sentence}<br>Each row shows what labels the images of one class were given, as shares of 1.</p>
<main>
{panels}
</main>
</body>
</html>
"""
PANEL = "<figure>\n<figcaption>{title}</figcaption>\n{svg}</figure>"


def write(dataset_path, noisy_labels_path, file):
    """Writes the page of noisy labels.

    Args:
      dataset_path: Directory of the prepared dataset.
      noisy_labels_path: Directory of its noisy labels.
      file: The HTML file to write.
    """
    dataset = records.read_manifest(dataset_path)
    noisy = manifest.read(noisy_labels_path, manifest.NOISY_LABELS)
    class_names, panels = dataset["class_names"], []
    for name, title in PANELS.items():
        svg = heat_map(np.load(Path(noisy_labels_path) / name), class_names, salt=name)
        panels.append(PANEL.format(title=title, svg=svg))
    narrowest, widest = (420, 610) if len(class_names) <= MANY else (800, 920)  # else stacked
    page = PAGE.format(
        sentence=html.escape(sentence(noisy, dataset["num_examples"]["train"])),
        panels="\n".join(panels),
        narrowest=narrowest,
        widest=widest,
    )
    Path(file).write_text(page, encoding="utf-8")


def sentence(noisy, count):
    """What noise it is and how many of `count` labels are wrong, from the manifest `noisy`."""
    noise = f"Noise {noisy['noise']}, ratio {noisy['noise_ratio']:g}: "
    if noisy["wrong_labels"] is None:
        return noise + f"how many of the {count:,} labels are wrong is not known."
    return noise + f"{noisy['wrong_labels']:.1%} of the {count:,} labels are wrong."


def heat_map(matrix, class_names, salt):
    """The picture of a transition matrix, (C, C), as an SVG element.

    Args:
      matrix: Rows are published labels, columns given ones.
      class_names: C names.
      salt: Keeps the ids of one picture apart from those of another on the same page.
    """
    C = len(class_names)
    side = min(1.6 + 0.3 * C, 4.8) if C <= MANY else 8.2  # inches
    figure = Figure(figsize=(side, side))
    axes = figure.add_axes((0, 0, 1, 1))
    image = axes.imshow(matrix, cmap="Blues", norm=SHADES, interpolation="none")
    name_axes(axes, class_names)
    if C <= MOST_NUMBERED:
        number_cells(axes, matrix)
    else:
        bar = figure.colorbar(
            image, cax=figure.add_axes((1.02, 0.6, 0.015, 0.4)), ticks=[0, 0.01, 0.1, 0.3, 1]
        )
        bar.ax.tick_params(labelsize=8, length=0)
        bar.outline.set_visible(False)
    # Text stays text: in the reader's fonts, which know more scripts than the one here.
    style = {"svg.fonttype": "none", "svg.hashsalt": salt, "font.family": "sans-serif"}
    output = io.StringIO()
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(output, format="svg", bbox_inches="tight", metadata=NO_METADATA)
    return output.getvalue()[output.getvalue().index("<svg") :]


def name_axes(axes, class_names):
    """Names of classes along both axes, every second or fewer where there are too many."""
    shown = np.arange(0, len(class_names), -(-len(class_names) // MOST_NAMES))
    names = [" ".join(str(class_names[c]).split()) for c in shown]
    names = [n if len(n) <= LONGEST_NAME else n[: LONGEST_NAME - 1] + "…" for n in names]
    room = axes.figure.get_figwidth() * 72 / len(shown)  # points
    style = {"size": min(9, 0.9 * room), "parse_math": False}
    upright = 6 * max(map(len, names)) < room
    axes.set_xticks(shown, names, rotation=0 if upright else 90, **style)
    axes.set_yticks(shown, names, **style)
    axes.set_xlabel("label given")
    axes.set_ylabel("label as published")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def number_cells(axes, matrix):
    """The share in each cell that has one, dark on light or light on dark."""
    for (row, column), share in np.ndenumerate(matrix):
        if share:
            style = {"color": "white" if SHADES(share) > 0.7 else "black", "size": 8}
            axes.text(column, row, f"{share:.2f}", ha="center", va="center", **style)
