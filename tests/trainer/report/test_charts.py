import numpy as np
import pytest

from trainer.report import charts


@pytest.mark.parametrize("spread", [0.0, 1e-9, 1e-7, 1e-3, 1.0])
def test_a_histogram_of_values_however_near_to_each_other(spread):
    values = 1 + spread * np.linspace(0, 1, 50, dtype=np.float32)
    assert "<svg" in charts.histogram({"all labels": values}, "p_clean")
