"""Predictions of an exported model for image files."""

import csv
import json
import os
import sys

from tabulate import tabulate

from trainer import artifacts
from trainer.errors import InputError, printable


def predict(model_path, paths, form="table", out=sys.stdout):
    """Prints class and confidence of each image, or why it cannot be read.

    Args:
      model_path: Directory of the exported model.
      paths: Image files of any format that can be prepared, and folders with such at any depth.
      form: "table", "csv", or "json" for JSON lines; the latter two have all probabilities.
      out: Text stream.

    Returns:
      How many files cannot be read.

    Raises:
      InputError: There is no model, or no file.
    """
    model = artifacts.read(model_path, artifacts.EXPORTED_MODEL)
    files = image_files(paths)
    rows = predict_files(model_path, model["class_names"], files)
    bad = PRINT[form](rows, model["class_names"], out)
    if bad:
        print(f"error: {bad} of {len(files)} files cannot be read as images", file=sys.stderr)
    return bad


def image_files(paths):
    """The given files, and the images in given folders; InputError if there are none."""
    if not paths:
        raise InputError("arguments", "must name image files or folders for --mode=predict", "")
    from trainer.data import summary  # imports half a second of code
    from trainer.data.sources import folders

    files, left_out = [], []
    for path in paths:
        found, others = folders.images_below(path) if os.path.isdir(path) else ([path], [])
        files += found
        left_out += others
    if left_out:
        kinds = summary.some(summary.kinds(reason for _, reason in left_out))
        print(f"{len(left_out)} files in folders are left out ({kinds})", file=sys.stderr)
    if not files:
        raise InputError("arguments", "must name image files, or folders with images", paths[0])
    return files


def predict_files(model_path, class_names, files):
    """The prediction for each file: a dictionary with class and confidence, or an error."""
    import tensorflow as tf

    from trainer.data.sources import image_check

    def seen(file):
        try:
            return image_check.stored(file), ""
        except (image_check.UnfitError, OSError) as error:
            return None, image_check.fault(error)

    served, names = tf.saved_model.load(str(model_path / "saved_model")), iter(files)
    for some in image_check.in_parallel(seen, files):
        contents = [content for content, fault in some if not fault]
        answers = iter(())
        if contents:
            found = served(tf.constant(contents))
            answers = zip(*(found[key].numpy() for key in ("class", "confidence", "probabilities")))
        for _, fault in some:
            row = {"file": os.fsencode(next(names)).decode(errors="backslashreplace")}
            if fault:
                yield row | {"error": fault}
                continue
            label, confidence, p = next(answers)
            row |= {"class": label.decode(), "confidence": float(confidence)}
            yield row | {"probabilities": dict(zip(class_names, p.tolist(), strict=True))}


def print_json(rows, class_names, out):
    bad = 0
    for row in rows:
        print(json.dumps(row, ensure_ascii=False), file=out)
        bad += "error" in row
    return bad


def print_csv(rows, class_names, out):
    """Columns file, class, confidence, error, and p_<class> for each class."""
    bad, writer = 0, csv.writer(out, lineterminator="\n")
    columns = "file", "class", "confidence", "error"
    writer.writerow([*columns, *(f"p_{name}" for name in class_names)])
    for row in rows:
        values = [row.get(column, "") for column in columns]
        writer.writerow([*values, *row.get("probabilities", {}).values()])
        bad += "error" in row
    return bad


def print_table(rows, class_names, out):
    rows = list(rows)
    lines = [
        (printable(row["file"]), printable(row["class"]), f"{row['confidence']:.3f}")
        if "class" in row
        else (printable(row["file"]), "", "", row["error"])
        for row in rows
    ]
    bad = [line for line in lines if len(line) > 3]
    header = ("file", "class", "confidence", *(["error"] if bad else []))
    print(tabulate(lines, header, disable_numparse=True), file=out)
    return len(bad)


PRINT = {"table": print_table, "csv": print_csv, "json": print_json}
