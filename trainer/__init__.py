"""Training image classifiers on labels that are partly wrong."""

import os

__version__ = "0.1.0"

# Before TensorFlow is imported anywhere: without this it opens with a page about itself.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
