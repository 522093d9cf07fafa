"""The training methods, by the name of their flag value."""

from trainer.methods.fsr import FSR
from trainer.methods.ieg import IEG
from trainer.methods.l2r import L2R
from trainer.methods.robust import Robust
from trainer.methods.supervised import Supervised

METHODS = {"supervised": Supervised, "l2r": L2R, "ieg": IEG, "fsr": FSR, "robust": Robust}
