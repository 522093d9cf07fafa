"""Weights from a file of PyTorch's first format, without PyTorch.

Five pickles (a magic number, the protocol, the system, the tensors, the keys of their storages),
then the storages in the order of their keys: an int64 count and the values, little-endian. The
tensors say which part of which storage they are.
"""

import collections
import pickle

import numpy as np

from trainer.errors import InputError

MAGIC = 0x1950A86A20F9469CFC6C
TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
Part = collections.namedtuple("Part", "storage offset shape stride")


class Tensors(pickle.Unpickler):
    """Reads tensors, and nothing that could run code."""

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, stride, *_: Part(storage, offset, shape, stride)
        if module == "torch" and name in TYPES:
            return TYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not part of weights")

    def persistent_load(self, pid):
        _, dtype, key, *_ = pid
        return key, dtype


def read(path):
    """The tensors of a file: {name: array}.

    Args:
      path: Of a state dictionary that `torch.save` wrote before PyTorch 1.6.

    Raises:
      InputError: It is not such a file.
    """
    with open(path, "rb") as file:
        try:
            magic, _, _ = (Tensors(file).load() for _ in range(3))
            if magic != MAGIC:
                raise pickle.UnpicklingError("it begins otherwise")
            parts, keys = Tensors(file).load(), Tensors(file).load()
            types = dict(part.storage for part in parts.values())
            storages = {key: read_storage(file, types[key]) for key in keys}
            return {name: tensor(storages[part.storage[0]], part) for name, part in parts.items()}
        except (pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError) as error:
            rule = f"must be weights in PyTorch's format before 1.6 ({error})"
            raise InputError("weights", rule, str(path)) from error


def read_storage(file, dtype):
    count = int(np.frombuffer(file.read(8), "<i8")[0])
    return np.frombuffer(file.read(count * dtype.itemsize), dtype, count)


def tensor(storage, part):
    """The array that `part` of a storage is."""
    strides = [step * storage.itemsize for step in part.stride]
    view = np.lib.stride_tricks.as_strided(storage[part.offset :], part.shape, strides)
    return np.array(view)
