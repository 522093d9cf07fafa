import tensorflow as tf

from tests.trainer.methods.golden_step import (
    assert_close,
    assert_state_after_step,
    golden_batch,
    golden_method,
    read_golden,
)


def test_golden_step():
    arrays = read_golden("step_supervised")
    method = golden_method("supervised", arrays)
    assert_close(method.regulariser(), arrays["reg"])
    logs = tf.function(method.train_step)(golden_batch(arrays))
    assert_close(logs["loss"], arrays["total_loss"])
    assert_state_after_step(method, arrays, average_after_update=False)
