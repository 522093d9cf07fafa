"""Training image classifiers on labels that are partly wrong."""

import os
import sys

from trainer import interrupts  # noqa: F401, before all that takes time
from trainer.quiet import QuietTensorFlow

__version__ = "0.1.0"

# Before TensorFlow is imported anywhere: without this it opens with a page about itself. Another
# level, which somebody chose, shows it; ours is passed on to processes that this one starts.
if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") == "2":
    sys.meta_path.insert(0, QuietTensorFlow())
