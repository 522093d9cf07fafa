"""Makes a command start and end seconds earlier; for processes that are the command's own.

Keras imports three large libraries for functions that this project does not call. The garbage
collector looks for cycles among a million objects of TensorFlow that live as long as the process:
again and again while they are made, and twice more when it ends.
"""

import atexit
import contextlib
import gc
import sys

from trainer.quiet import ImportedWithin

OPTIONAL = ("matplotlib", "pandas", "sklearn")  # of Keras


def command():
    """Call it before TensorFlow is imported."""
    atexit.register(gc.freeze)
    sys.meta_path.insert(0, ImportedWithin(without_optional, "keras", "tensorflow"))


@contextlib.contextmanager
def without_optional():
    """A `with` block that imports Keras without OPTIONAL; what it makes is never collected."""
    hidden = [name for name in OPTIONAL if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # None: an import of it raises ImportError
    gc.disable()
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
        gc.freeze()
        gc.enable()
