"""Random streams: each purpose has its own number, so that its draws from a seed are independent.

Never change or reuse a number: the draws of published runs follow from it.
"""

import enum


@enum.unique
class Stream(enum.IntEnum):
    """Streams of NumPy's generators, `numpy.random.default_rng((seed, stream))`."""

    NOISE = 1  # which labels are wrong
    PROBE = 2  # which trusted examples are in the probe
    QUEUE = 3  # which examples come first in the queue of FSR
    FOLDS = 4  # which fold an example is in


@enum.unique
class TensorStream(enum.IntEnum):
    """Streams of TensorFlow's stateless draws, `tf.random.fold_in([seed, stream], ...)`.

    They are independent of NumPy's, whatever their numbers.
    """

    BATCHES = 1  # views and random numbers of a step
    QUEUE_VIEWS = 3  # views of the images in the queue of FSR
    EMBEDDED_VIEWS = 4  # views of the images that a backbone embeds
