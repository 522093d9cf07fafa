"""Detects that predictions collapse onto one class.

A constant prediction makes its own pseudo-labels constant, and losses that need no label are
low with it: without this one would see a low loss.
"""

import keras
import numpy as np


class MeanPrediction(keras.metrics.Metric):
    """p (C,): class probabilities in the mean over all images; float64."""

    def __init__(self, num_classes):
        super().__init__(name="mean_prediction", dtype="float64")
        self.total = self.add_variable((num_classes,), "zeros", dtype="float64", name="total")

    def update_state(self, logits):
        p = keras.ops.cast(keras.ops.softmax(logits), "float64")
        self.total.assign_add(keras.ops.sum(p, axis=0))

    def result(self):
        return self.total / keras.ops.sum(self.total)


def scalars(mean_prediction, confusion):
    """How evenly a test set is spread over the classes.

    Args:
      mean_prediction: (C,), class probabilities in the mean over the test images.
      confusion: (C, C), [i, j] counts images of class i taken for class j.

    Returns:
      prediction_entropy, that of the mean prediction in nats, and largest_predicted_share, of the
      images taken for the most frequent class.
    """
    p = np.asarray(mean_prediction)
    return {
        "prediction_entropy": float(-(p * np.log(np.maximum(p, 1e-12))).sum()),
        "largest_predicted_share": float((confusion.sum(axis=0) / confusion.sum()).max()),
    }


def warning(found, confusion, class_names, advice):
    """What to say if predictions are far less spread than the labels; "" if they are not.

    The bounds: an entropy below half that of the labels, or a share of the most frequent class
    beyond the middle between 1 and its largest share in the labels.

    Args:
      found: `scalars`.
      confusion: As for `scalars`.
      class_names: C names.
      advice: What to do, by the method.
    """
    labels, predicted = (confusion.sum(axis=a) / confusion.sum() for a in (1, 0))
    entropy = -(labels * np.log(np.maximum(labels, 1e-12))).sum()
    share = found["largest_predicted_share"]
    even = found["prediction_entropy"] >= entropy / 2 and share <= (1 + labels.max()) / 2
    if even:
        return ""
    name = class_names[predicted.argmax()]
    return (
        f"{share:.0%} of the test images are taken for {name}, and the entropy of the mean"
        f" prediction is {found['prediction_entropy']:.2f} of {entropy:.2f} nats: the network has"
        f" collapsed onto few classes; {advice}"
    )
