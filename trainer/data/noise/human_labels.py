"""Label files of CIFAR-10N and CIFAR-100N (Wei et al., ICLR 2022), read without running code.

They are pickles: arrays by name, saved by torch (.pt) or NumPy (.npy). A pickle can call any
function; this reader lets it only build arrays, dictionaries and plain values.
"""

import io
import pickle
import zipfile

import numpy as np

from trainer.errors import InputError

HARMLESS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
}


class Unpickler(pickle.Unpickler):
    """Refuses everything that arrays by name do not need."""

    def find_class(self, module, name):
        if (module, name) not in HARMLESS:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in it")
        return super().find_class(module, name)


def read_labels(file, name):
    """The labels called `name` in a file, int32 (N,), and the clean labels in it or None.

    Raises:
      InputError: It is not a label file, or has no labels of this name.
    """
    try:
        arrays = read_arrays(file)
    except (OSError, ValueError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        rule = f"must be a label file of CIFAR-10N or CIFAR-100N, .pt or .npy ({error})"
        raise InputError("--noise_file", rule, file) from error
    if name not in arrays:
        rule = f"must be one of {', '.join(arrays)}, which {file} has"
        raise InputError("--label_column", rule, name)
    clean = arrays.get("clean_label")
    return np.asarray(arrays[name], np.int32), None if clean is None else np.asarray(clean)


def read_arrays(file):
    """{name: array} in a file that torch or NumPy has written."""
    with open(file, "rb") as stream:
        if zipfile.is_zipfile(stream):
            with zipfile.ZipFile(stream) as archive:
                (content,) = (n for n in archive.namelist() if n.endswith("data.pkl"))
                return Unpickler(io.BytesIO(archive.read(content))).load()
        stream.seek(0)
        if stream.read(6) == b"\x93NUMPY":
            stream.seek(0)
            np.lib.format.read_magic(stream)
            np.lib.format.read_array_header_1_0(stream)
            return Unpickler(stream).load().item()
        # The format of torch until 1.5: a number, a version and facts about the machine come first.
        stream.seek(0)
        for _ in range(3):
            Unpickler(stream).load()
        return Unpickler(stream).load()


def labels_by_id(file, name, labels, published_order):
    """The labels of a file (CIFAR-N, Wei et al., ICLR 2022), by id: int32 (N,).

    Args:
      file: Label file as its authors publish it.
      name: Name of the labels, such as worse_label or noisy_label.
      labels: (N,) published labels by id.
      published_order: (N,), the place of each example in the published training set.

    Raises:
      InputError: The file cannot be read, or is of another dataset.
    """
    given, clean = read_labels(file, name)
    if len(given) != len(labels) or (
        clean is not None and not np.array_equal(clean[published_order], labels)
    ):
        rule = f"must have the labels of the {len(labels)} examples of this dataset"
        raise InputError("--noise_file", rule, f"{file}, {len(given)} labels")
    return given[published_order]
