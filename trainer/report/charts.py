"""Charts as SVG elements: text stays text, in the colour of the page's text."""

import io
import warnings

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure

FEW = 6  # number of classes up to which a narrow screen has room for a chart
MANY = 50  # number of classes from which charts are large
MOST_NUMBERED = 15  # number of classes up to which cells have numbers
MOST_NAMES = 100  # of classes along an axis
LONGEST_NAME = 16  # letters
BINS = 40
ALIKE = 1e-6  # values that differ by less have one bin
SHADES = PowerNorm(0.5, vmin=0, vmax=1)  # the square root: 100 classes at 0.009 each can be seen
BLUE = LinearSegmentedColormap.from_list("blue", ["#2563eb00", "#2563eb"])  # on white or black
COLOURS = ("#3b82f6", "#f97316", "#10b981", "#a855f7", "#ef4444", "#64748b")  # likewise
INK = "#123456"  # replaced by the page's own colour of text
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # addresses, and the date


def svg_element(figure, salt):
    """The SVG element of a figure; `salt` keeps its ids apart from others on the same page."""
    # The reader's fonts show the text; they have more scripts than the font here.
    style = {"svg.fonttype": "none", "svg.hashsalt": salt, "font.family": "sans-serif"}
    output = io.StringIO()
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(
            output, format="svg", bbox_inches="tight", metadata=NO_METADATA, transparent=True
        )
    element = output.getvalue()[output.getvalue().index("<svg") :]
    return Markup(element.replace(INK, "currentColor"))


def new_axes(width=5.2, height=3.0):
    """The only axes in a new figure of this size in inches."""
    axes = Figure(figsize=(width, height)).add_axes((0, 0, 1, 1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(color="#88888844", linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def name_values(axes, across, up):
    """Labels the axes, and adds a legend for several colours."""
    axes.set_xlabel(across, color=INK)
    axes.set_ylabel(up, color=INK)
    if axes.get_xlim()[1] > 1000:
        axes.xaxis.set_major_formatter("{x:,.0f}")
    if axes.get_legend_handles_labels()[0]:
        above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 3}
        axes.legend(frameon=False, labelcolor=INK, fontsize=9, **above)


def line_chart(series, across, up, salt=""):
    """A line for each {name: (x, y)} or {name: (x, y, deviation of y)}."""
    axes = new_axes()
    for i, (name, (x, y, *deviation)) in enumerate(series.items()):
        style = {"color": COLOURS[i % len(COLOURS)], "label": name, "marker": ".", "markersize": 5}
        axes.errorbar(x, y, *deviation, linestyle="-" if i < len(COLOURS) else "--", **style)
    name_values(axes, across, up)
    return svg_element(axes.figure, up + salt)


def band_chart(lines, band, across, up):
    """Lines, {name: (x, y)}, over the range `band`, (x, low, high)."""
    axes = new_axes()
    axes.fill_between(*band, color=COLOURS[0], alpha=0.2, linewidth=0, label="range")
    for (name, (x, y)), colour in zip(lines.items(), COLOURS):
        axes.plot(x, y, color=colour, label=name)
    name_values(axes, across, up)
    return svg_element(axes.figure, up + across)


def histogram(groups, across):
    """Fractions of each group of values, {name: (n,)}, in common bins."""
    axes = new_axes()
    values = np.concatenate(list(groups.values()))
    if values.size and np.ptp(values) < ALIKE:  # too near to each other for bins between them
        values = values[:1]
    bins = np.histogram_bin_edges(values, BINS)
    for (name, values), colour in zip(groups.items(), COLOURS):
        shares = np.full(len(values), 1 / max(len(values), 1))
        axes.hist(values, bins, weights=shares, color=colour, alpha=0.6, label=name)
    name_values(axes, across, "fraction")
    return svg_element(axes.figure, across)


def reliability_diagram(bins):
    """Accuracy over confidence, {name: (confidence, accuracy, count)} of `calibration`."""
    axes = new_axes(height=3.4)
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=1, linestyle="--")
    for (name, columns), colour in zip(bins.items(), COLOURS):
        confidence, accuracy, count = np.array(columns)
        style = {"color": colour, "label": name, "marker": "o", "markersize": 4}
        axes.plot(confidence[count > 0], accuracy[count > 0], **style)
    name_values(axes, "confidence", "accuracy")
    return svg_element(axes.figure, "reliability")


def heat_map(matrix, class_names, across, down, salt=""):
    """The picture of a matrix of classes.

    Args:
      matrix: (C, C), fractions of each row.
      class_names: C names.
      across: Label of the columns.
      down: Label of the rows.
      salt: Makes its ids differ from those of another chart with the same axes.
    """
    C = len(class_names)
    side = np.clip(1.6 + 0.3 * C, 4, 4.8) if C <= MANY else 8.2  # inches
    axes = Figure(figsize=(side, side)).add_axes((0, 0, 1, 1))
    image = axes.imshow(matrix, cmap=BLUE, norm=SHADES, interpolation="none")
    name_classes(axes, class_names, across, down)
    if C <= MOST_NUMBERED:
        number_cells(axes, matrix)
    else:
        place = axes.figure.add_axes((1.02, 0.6, 0.015, 0.4))
        bar = axes.figure.colorbar(image, cax=place, ticks=[0, 0.01, 0.1, 0.3, 1])
        bar.ax.tick_params(labelsize=8, length=0, colors=INK)
        bar.outline.set_visible(False)
    element = svg_element(axes.figure, across + down + salt)
    return element if C <= FEW else Markup(element.replace("<svg", '<svg class="wide"', 1))


def name_classes(axes, class_names, across, down):
    """Names of classes along both axes, every second or fewer where there are too many."""
    shown = np.arange(0, len(class_names), -(-len(class_names) // MOST_NAMES))
    names = [" ".join(str(class_names[c]).split()) for c in shown]
    names = [n if len(n) <= LONGEST_NAME else n[: LONGEST_NAME - 1] + "…" for n in names]
    room = axes.figure.get_figwidth() * 72 / len(shown)  # points
    style = {"size": min(9, 0.9 * room), "parse_math": False, "color": INK}
    upright = 6 * max(map(len, names)) < room
    axes.set_xticks(shown, names, rotation=0 if upright else 90, **style)
    axes.set_yticks(shown, names, **style)
    axes.set_xlabel(across, color=INK)
    axes.set_ylabel(down, color=INK)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def number_cells(axes, matrix):
    """The fraction in each cell that is not near 0, in a colour that stands out from the cell's."""
    for (row, column), share in np.ndenumerate(matrix):
        if share >= 0.005:
            style = {"color": number_colour(share), "size": 8}
            axes.text(column, row, f"{share:.2f}", ha="center", va="center", **style)


def number_colour(share):
    """White or the colour of text, whichever has more contrast to the cell on a white page."""
    return "white" if SHADES(share) > 0.84 else INK
