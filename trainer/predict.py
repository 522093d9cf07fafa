"""What an exported model says of image files."""

import itertools
import json
import sys

from tabulate import tabulate

from trainer import manifest
from trainer.errors import InputError

AT_ONCE = 64  # files


def predict(model_path, files, as_json=False, out=sys.stdout):
    """Prints class and confidence of each file, as a table or as JSON lines with all classes.

    Args:
      model_path: Directory of the exported model.
      files: Paths of JPEG or PNG files.
      as_json: Whether to print JSON lines.
      out: Text stream.

    Raises:
      InputError: There is no model, no file, or one that is no such image.
    """
    model = manifest.read(model_path, manifest.EXPORTED_MODEL)
    if not files:
        raise InputError("arguments", "must name image files for --mode=predict", "")
    from trainer.data.sources import image_check  # takes half a second

    faults = image_check.in_parallel(image_check.check, files)
    for name, (*_, fault) in zip(files, itertools.chain.from_iterable(faults)):
        if fault:
            raise InputError("image", f"must be a JPEG or PNG file; it {fault}", name)
    import tensorflow as tf

    served = tf.saved_model.load(str(model_path / "saved_model"))
    rows = []
    for first in range(0, len(files), AT_ONCE):
        names = files[first : first + AT_ONCE]
        contents = [image_check.read(name) for name in names]
        found = {k: v.numpy() for k, v in served(tf.constant(contents)).items()}
        for i, name in enumerate(names):
            label, confidence = found["class"][i].decode(), float(found["confidence"][i])
            if as_json:
                p = dict(zip(model["class_names"], found["probabilities"][i].tolist()))
                row = {"file": name, "class": label, "confidence": confidence, "probabilities": p}
                print(json.dumps(row, ensure_ascii=False), file=out)
            rows.append((name, label, f"{confidence:.3f}"))
    if not as_json:
        print(tabulate(rows, ("file", "class", "confidence"), disable_numparse=True), file=out)
