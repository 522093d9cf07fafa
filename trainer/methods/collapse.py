"""Detects that predictions collapse onto one class.

A constant prediction makes its pseudo-labels constant, and then losses without labels are low: the
loss alone would not show the collapse.
"""

import keras
import numpy as np


class MeanPrediction(keras.metrics.Metric):
    """p (C,): mean class probabilities over all images; float64."""

    def __init__(self, num_classes):
        super().__init__(name="mean_prediction", dtype="float64")
        self.total = self.add_variable((num_classes,), "zeros", dtype="float64", name="total")

    def update_state(self, logits):
        p = keras.ops.cast(keras.ops.softmax(logits), "float64")
        self.total.assign_add(keras.ops.sum(p, axis=0))

    def result(self):
        return self.total / keras.ops.sum(self.total)


def scalars(mean_prediction, confusion):
    """How evenly the predictions for a test set are spread over the classes.

    Args:
      mean_prediction: (C,), mean class probabilities over the test images.
      confusion: (C, C), [i, j] counts images of class i predicted as j.

    Returns:
      prediction_entropy, the entropy of the mean prediction in nats, and largest_predicted_share,
      the fraction of images predicted as the most predicted class.
    """
    p = np.asarray(mean_prediction)
    return {
        "prediction_entropy": float(-(p * np.log(np.maximum(p, 1e-12))).sum()),
        "largest_predicted_share": float((confusion.sum(axis=0) / confusion.sum()).max()),
    }


def warning(found, confusion, class_names, advice):
    """A warning if predictions are far less spread than the labels; "" if they are not.

    The bounds are an entropy below half the entropy of the labels, and a fraction of the most
    predicted class above (1 + s) / 2, where s is the fraction of the largest class in the labels.

    Args:
      found: `scalars`.
      confusion: As for `scalars`.
      class_names: C names.
      advice: The method's advice on what to do.
    """
    labels, predicted = (confusion.sum(axis=a) / confusion.sum() for a in (1, 0))
    entropy = -(labels * np.log(np.maximum(labels, 1e-12))).sum()
    share = found["largest_predicted_share"]
    even = found["prediction_entropy"] >= entropy / 2 and share <= (1 + labels.max()) / 2
    if even:
        return ""
    name = class_names[predicted.argmax()]
    return (
        f"{share:.0%} of the test images are predicted as {name}, and the entropy of the mean"
        f" prediction is {found['prediction_entropy']:.2f} of {entropy:.2f} nats: the network has"
        f" collapsed onto few classes; {advice}"
    )
