"""The head on embeddings of a backbone: logits that are linear in the standardised embedding."""

import keras
import numpy as np
from keras import layers

from trainer.networks.weight_decay import L2

NORM = 8.0  # of an embedding after standardising, for learning rates as those of other networks
STANDARDISE, LOWEST = "standardise", 0.01  # least variance, as a part of the mean one
# Weight decay for embeddings of this norm, chosen on 200 to 8,000 photographs.
DECAY, LEAST_DECAY, MOST_DECAY = 40, 0.0025, 0.1


def weight_decay(num_examples):
    """Weight decay for N examples: DECAY / N, within limits."""
    return min(max(DECAY / num_examples, LEAST_DECAY), MOST_DECAY)


def build(input_shape, num_classes, weight_decay):
    """Standardises by fixed statistics, then a dense layer.

    Args:
      input_shape: (D,).
      num_classes: C.
      weight_decay: Factor of half the sum of the squares of the kernel in the regulariser.

    Returns:
      Model from embeddings (B, D) to logits (B, C).
    """
    embeddings = keras.Input(input_shape)
    # Frozen, it takes its statistics as they are, in training too.
    frozen = layers.BatchNormalization(
        center=False, scale=False, epsilon=1e-6, trainable=False, name=STANDARDISE
    )
    x = layers.Rescaling(NORM / input_shape[0] ** 0.5)(frozen(embeddings))
    logits = layers.Dense(num_classes, kernel_regularizer=L2(weight_decay / 2))(x)
    return keras.Model(embeddings, logits, name="head")


def standardise(network, mean, variance):
    """Sets the statistics of a new head, float32 (D,) each.

    Numbers that hardly vary are not blown up: a rare one would outweigh all others.
    """
    variance = np.maximum(variance, LOWEST * np.mean(variance))
    network.get_layer(STANDARDISE).set_weights([mean, variance])
