"""Imports TensorFlow without the messages that its libraries print as they load.

They write to the file descriptor before any of TensorFlow's settings take effect.
"""

import contextlib
import importlib.abc
import importlib.util
import os
import sys
import tempfile


class ImportedWithin(importlib.abc.MetaPathFinder):
    """Imports the first of some modules that is asked for within a `with` block.

    Args:
      block: Function that returns the context manager.
      *names: Names of the modules.
    """

    def __init__(self, block, *names):
        self.block, self.names = block, names

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in self.names:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec:
            execute = spec.loader.exec_module

            def exec_module(module):
                with self.block():
                    execute(module)

            spec.loader.exec_module = exec_module
        return spec


@contextlib.contextmanager
def standard_error_kept_back():
    """A `with` block whose standard error, also from C++, is written only if the block raises."""
    shown = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except Exception:
            kept.seek(0)
            os.write(shown, kept.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)
