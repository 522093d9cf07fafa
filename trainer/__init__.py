"""Training image classifiers on labels that are partly wrong."""

import os
import sys

from trainer import interrupts, xla_cache  # noqa: F401, before all that takes time
from trainer.quiet import ImportedWithin, standard_error_kept_back

__version__ = "0.1.0"

# Set before TensorFlow is imported anywhere, or it prints a page about itself. A level that the
# user chose stays; child processes inherit this one.
if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") == "2":
    sys.meta_path.insert(0, ImportedWithin(standard_error_kept_back, "tensorflow"))
xla_cache.keep()
