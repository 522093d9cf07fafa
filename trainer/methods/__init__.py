"""The training methods, by the name of their flag value.

Each is a subclass of `trainer.methods.method.Method` in a file of its own. TensorFlow is imported
when a method is built; reading its settings and attributes does not need it.
"""

from trainer.methods.fsr import FSR
from trainer.methods.ieg import IEG
from trainer.methods.l2r import L2R
from trainer.methods.robust import Robust
from trainer.methods.supervised import Supervised

METHODS = {"supervised": Supervised, "robust": Robust, "l2r": L2R, "fsr": FSR, "ieg": IEG}
