"""Evidence for an audit: class probabilities of each image, by the image alone, and their source.

N audited examples, C classes, T test images.
"""

from dataclasses import dataclass, field

import numpy as np

TRUSTED, TOLERANCE = 20, 0.1  # fewest images, and least difference of rates, for a warning


@dataclass
class Evidence:
    """Class probabilities of the audited images.

    Attributes:
      P: float64 (N, C), class probabilities by the image.
      runs: Manifests of the runs.
      predicted_by: Who predicts, as a noun phrase.
      coefficients: Means over training by name, (N,).
      captions: {name: (caption, axis label)} of the coefficients.
      agreement: Fraction of noisy labels, of images not trained on, that are predicted; None if
        not known.
      accuracy: Accuracy on at least TRUSTED trusted images not trained on; None if not known.
      warnings: Sentences without a full stop.
      transition: float64 (C, C), T[i, j] = P(given j | true i), its diagonal scaled if there is a
        correction; None if EM is to find it from P.
      correction: `trainer.audit.rate_correction.Correction`, if the given labels of enough trusted
        images are known.
      labels_right: float (3,), the fraction of labels that are right after correction with its
        range, see `trainer.audit.kept_labels`; None if too few trusted images tell.
      tested: float64 (T, C), class probabilities of the test images, out of sample.
    """

    P: np.ndarray
    runs: list
    predicted_by: str
    coefficients: dict = field(default_factory=dict)
    captions: dict = field(default_factory=dict)
    agreement: float | None = None
    accuracy: float | None = None
    warnings: list = field(default_factory=list)
    transition: np.ndarray | None = None
    correction: object | None = None
    labels_right: np.ndarray | None = None
    tested: np.ndarray | None = None


def coefficient_captions(coefficients):
    """{name: (caption, axis label)} of the coefficients that a method records.

    Args:
      coefficients: `trainer.methods.method.Method.coefficients`.
    """
    if isinstance(coefficients, dict):
        return coefficients
    return {name: (name, f"mean {name} over training") for name in coefficients}


def contradictions(evidence, low, high):
    """Warnings where the noise rate may be above its range, `low` to `high`.

    Predictions of accuracy a agree with a fraction g of the noisy labels: with a of the right ones,
    and with some of the wrong ones if they have learned such labels, as they do from people's. So
    g >= (1 - r) a, and the noise rate r is at least 1 - g / a; a lower bound contradicts nothing.
    """
    if not evidence.accuracy or evidence.agreement is None:
        return []
    least = 1 - evidence.agreement / evidence.accuracy
    if least <= high + TOLERANCE:
        return []
    return [
        f"the noise rate may be higher than estimated, {low:.1%} to {high:.1%}: predictions by"
        f" {evidence.predicted_by} have {evidence.accuracy:.1%} accuracy on trusted images but"
        f" agree with {evidence.agreement:.1%} of noisy labels, which implies a noise rate of at"
        f" least {least:.1%}, unless the trusted images are easier than the others"
    ]
