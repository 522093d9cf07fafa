"""Training image classifiers on labels that are partly wrong."""

import os
import sys

from trainer.quiet import QuietTensorFlow

__version__ = "0.1.0"

# Before TensorFlow is imported anywhere: without this it opens with a page about itself.
if "TF_CPP_MIN_LOG_LEVEL" not in os.environ:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    sys.meta_path.insert(0, QuietTensorFlow())
