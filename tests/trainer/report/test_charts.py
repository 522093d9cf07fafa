import numpy as np
import pytest
from matplotlib.colors import to_rgb

from trainer.report import charts


@pytest.mark.parametrize("spread", [0.0, 1e-9, 1e-7, 1e-3, 1.0])
def test_a_histogram_of_values_however_near_to_each_other(spread):
    values = 1 + spread * np.linspace(0, 1, 50, dtype=np.float32)
    assert "<svg" in charts.histogram({"all labels": values}, "p_clean")


def luminance(colour):
    """Relative luminance of a colour, by WCAG 2."""
    parts = np.array(to_rgb(colour))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize(("paper", "ink"), [("#ffffff", "#1c2330"), ("#12161d", "#e6e9ef")])
def test_numbers_stand_out_from_their_cells(paper, ink):
    for share in np.linspace(0.01, 1, 100):
        *cell, alpha = charts.BLUE(charts.SHADES(share))
        cell = alpha * np.array(cell) + (1 - alpha) * np.array(to_rgb(paper))
        number = charts.number_colour(share)
        values = [luminance(ink if number == charts.INK else number), luminance(cell)]
        assert (max(values) + 0.05) / (min(values) + 0.05) > 3.8
