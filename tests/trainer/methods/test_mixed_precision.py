"""The coefficients of a mixed-precision step, and its loss."""

import numpy as np
import pytest

from tests.trainer.methods.golden_step import (
    assert_close,
    golden_batch,
    golden_method,
    read_golden,
)

CASES = {
    "step_ieg": {"method": "ieg"},
    "step_l2r": {"method": "l2r"},
    "step_l2r_last_layer": {"method": "l2r", "meta_gradient": "last_layer"},
}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("file", CASES)
def test_coefficients_are_those_of_full_precision(file, dtype):
    arrays, seen = read_golden(file), []
    method = golden_method(arrays=arrays, mixed_precision=dtype, **CASES[file])
    meta_step = method.meta_step

    def noted(*args):
        seen.extend(meta_step(*args))
        return seen

    method.meta_step = noted
    loss = method.train_step(golden_batch(arrays))["loss"]
    for actual, name in zip(seen, ("meta_loss", "dM_dw", "dM_de")):
        assert_close(actual, arrays[name])
    means, _ = method.record.means()
    assert_close(means["weight"], arrays["weights"])
    np.testing.assert_array_equal(means.get("lam", 0), arrays.get("eps_star", 0))
    assert 1e-7 < abs(loss / arrays["total_loss"] - 1) < 1e-2  # in half precision, really


@pytest.mark.parametrize("file", CASES)
def test_meta_step_in_the_precision_of_the_network(file):
    arrays, seen = read_golden(file), []
    settings = {"mixed_precision": "bfloat16", "meta_precision": "network"}
    method = golden_method(arrays=arrays, **settings, **CASES[file])
    meta_step = method.meta_step
    method.meta_step = lambda *args: seen.extend(meta_step(*args)) or seen
    method.train_step(golden_batch(arrays))
    M, dM_dw = seen[0], seen[1].numpy()
    assert 1e-7 < abs(M / arrays["meta_loss"] - 1) < 1e-2  # in half precision, really
    assert np.corrcoef(dM_dw, arrays["dM_dw"])[0, 1] > 0.99
