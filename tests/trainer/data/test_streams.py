import numpy as np
import pytest
import tensorflow as tf

from trainer.data.streams import Stream, TensorStream


@pytest.mark.parametrize("streams", [Stream, TensorStream])
def test_no_two_streams_have_one_number(streams):
    names = streams.__members__
    assert len(names) > 1
    assert len({int(stream) for stream in names.values()}) == len(names)


def test_draws_follow_from_the_numbers():
    draws = [np.random.default_rng((7, stream)).integers(1 << 30) for stream in Stream]
    assert draws == [np.random.default_rng((7, number)).integers(1 << 30) for number in range(1, 5)]
    seed = tf.random.fold_in([7, TensorStream.BATCHES], 5)
    np.testing.assert_array_equal(seed, tf.random.fold_in([7, 1], 5))
