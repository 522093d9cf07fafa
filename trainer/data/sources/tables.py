"""Tables of a user's images and labels: CSV or JSON.

Values are strings without outer spaces. A table that cannot be read with certainty is refused in
one line.
"""

import codecs
import csv
import io
import json
import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pandas as pd

from trainer import storage
from trainer.data.sources import annotators, class_names
from trainer.data.sources.files import from_files
from trainer.data.sources.folders import FOLDER_SETTINGS, more_folders
from trainer.data.sources.source import SourceKind
from trainer.errors import InputError, listed

JSON_FILES = (".json", ".jsonl", ".ndjson")
DELIMITERS = (",", ";", "\t", "|")
BINARY = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x1f\x8b": "compressed",
    b"PAR1": "a Parquet file",
}
ENCODINGS = {  # four-byte marks first: they begin as two-byte ones do
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
SHOWN = 6  # columns in a message
TRUSTED = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "y", "t"), True),
    **dict.fromkeys(("0", "0.0", "false", "no", "n", "f", ""), False),
}
SPLITS = {
    **dict.fromkeys(("train", "training", ""), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
}
# In the column label_status of `trainer.audit.label_issues`: a test image with an unverified label.
NOISY = "noisy"


def table(settings):
    """Images that a table names: CSV with a header, JSON lines or a JSON array.

    Columns are path (relative to the table, or in storage), `settings.label_column`, and
    optionally split (train, validation or test), trusted (1 or 0), `settings.clean_label_column`,
    `settings.annotator_column`, and the label_status of an audit.
    """
    rows = read_rows(Path(storage.fetched(settings.data, "--data")), settings)
    split = flags(rows.split, SPLITS)
    test = split == ("test" if (split == "test").any() else "validation")
    if test.any() and not (split == "test").any():
        print("note: images of split validation are tested on, as there are none of split test")
    trusted = flags(rows.trusted, TRUSTED).astype(bool)
    if both := (trusted & test).sum():
        print(f"note: {both} trusted images are tested on, and so are not in the probe")
    files = rows[["label", "clean_label", "annotator"]].assign(
        path=places(rows.path, os.path.dirname(settings.data)), trusted=trusted, test=test
    )
    files["clean_label"] = rows.clean_label.where(~trusted | (rows.clean_label != ""), rows.label)
    unused = files.path[(split == "validation") & ~test]
    files = class_names.unified(files.drop(unused.index), settings.label_case)
    votes = files[~files.test & ~files.trusted][["path", "label", "annotator"]].drop_duplicates()
    files, facts = annotators.one_row_per_image(files, settings.annotator_column)
    remote = [path for path in files.path if storage.is_remote(path)]
    if remote and not settings.beam_runner:
        storage.fetch(remote)
        files["path"] = [str(storage.local(path)) for path in files.path]
    more = more_folders(settings)
    source = from_files(
        [files, *more.parts],
        settings,
        noisy_test=bool((test & (rows.label_status == NOISY)).any()),
        left_out=[(path, "is of split validation, and there is a split test") for path in unused],
        facts=facts,
    )
    if "annotators_joined_by" in facts:
        source = replace(source, votes=votes)
    return more.added_to(source)


KIND = SourceKind(
    table,
    settings=(*FOLDER_SETTINGS, "label_column", "clean_label_column", "annotator_column"),
    needs_data=True,
    labels_are_noisy=True,
    counted_at_once=True,
)


def places(paths, root):
    stripped = paths.str.strip()
    return [
        path if storage.is_remote(path) else on_disk(written, root)
        for path, written in zip(stripped, paths)
    ]


def on_disk(path, root):
    if path.startswith("file://"):
        path = unquote(path.removeprefix("file://"))
    if "://" in path:
        rule = "must name files on this machine or in gs://; download these"
        raise InputError("column path", rule, path)
    place = os.path.join(root, path)
    if path != path.strip() and not os.path.exists(place):
        return on_disk(path.strip(), root)
    if "\\" in path and not os.path.exists(place):  # written on Windows
        place = os.path.join(root, path.replace("\\", "/"))
    return place


def flags(column, meanings):
    """The meaning of each value of a column; InputError if a value has none."""
    found = column.str.lower().map(meanings)
    if found.isna().any():
        known = dict.fromkeys(meanings.values())
        shown = [next(name for name in meanings if meanings[name] == value) for value in known]
        rule = f"must be {' or '.join(shown)} in each row"
        raise InputError(f"column {column.name}", rule, column[found.isna()].iloc[0])
    return found


def read_rows(file, settings):
    """The columns of a table that are used, strings; "" for a column that is missing."""
    content = text(file)
    header, rows = (json_rows if file.suffix.lower() in JSON_FILES else csv_rows)(content, file)
    wanted = {
        "path": "path",
        "label": settings.label_column,
        "clean_label": settings.clean_label_column,
        "annotator": settings.annotator_column,
        **{name: name for name in ("split", "trusted", "label_status")},
    }
    places = {name: place(header, column, file) for name, column in wanted.items() if column}
    for name in ("path", "label", "clean_label", "annotator"):
        if places.get(name, -1) is None:
            shown = ", ".join([*header[:SHOWN], *(["..."] if len(header) > SHOWN else [])])
            flag = "" if name == "path" else f" (--{name}_column)"
            rule = f"must have a column {wanted[name]}{flag}; it has {shown or 'none'}"
            raise InputError("--data", rule, str(file))
    unused = [name for at, name in enumerate(header) if name and at not in places.values()]
    if unused:
        print(f"note: these columns of {file.name} are not used: {listed(unused)}")
    columns = [name for name, at in places.items() if at is not None]
    taken = [[as_text(row[places[name]], wanted[name]) for name in columns] for row in rows]
    table = pd.DataFrame(taken, columns=columns, dtype="str")
    others = [name for name in columns if name != "path"]  # a file's name may end in a space
    table[others] = table[others].apply(lambda column: column.str.strip())
    check_values(table, wanted, file, settings.label_case)
    return table.reindex(columns=list(wanted), fill_value="")


def place(header, column, file):
    """Position of a column, whatever the case of its name; None if it is missing."""
    found = [i for i, name in enumerate(header) if name == column]
    found = found or [i for i, name in enumerate(header) if name.lower() == column.lower()]
    if len(found) > 1:
        raise InputError("--data", f"must have one column {column}; it has {len(found)}", str(file))
    return found[0] if found else None


def check_values(table, wanted, file, label_case):
    """Raises InputError unless each row has a path and a label, and there are rows."""
    if table.empty:
        raise InputError("--data", "must have rows below the header", str(file))
    for name in ("path", "label"):
        empty = table[name].map(class_names.visible) == ""
        if empty.any():
            rule = f"must have path and {wanted['label']} in each row"
            raise InputError("--data", rule, f"row {empty.idxmax() + 1} of {file}")
    stands_for_none = table.label.isin(class_names.NO_VALUE)
    if stands_for_none.any() and label_case != "keep":
        rule = f"must have a label in each row; {stands_for_none.sum()} have a word for none;"
        rule += " --label_case=keep takes it for a class"
        row = stands_for_none.idxmax()
        raise InputError("--data", rule, f"{table.label[row]} in row {row + 1} of {file}")


def text(file):
    """The content of a text file, in UTF-8 or in the encoding that its first bytes declare."""
    try:
        content = file.read_bytes()
    except IsADirectoryError:
        rule = "must be a table; --dataset=image_folder takes a directory"
        raise InputError("--data", rule, str(file)) from None
    except OSError as error:
        rule = f"must be a CSV file or JSON ({error.strerror})"
        raise InputError("--data", rule, str(file)) from error
    for start, kind in BINARY.items():
        if content.startswith(start):
            rule = f"must be a CSV file or JSON; this is {kind}: unpack it, or save it as CSV"
            raise InputError("--data", rule, str(file))
    encoding = next((e for mark, e in ENCODINGS.items() if content.startswith(mark)), "utf-8")
    try:
        decoded = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        rule = f"must be text in {encoding.removesuffix('-sig').upper()}, or saved in UTF-8"
        raise InputError("--data", rule, f"line {line} of {file}") from None
    if "\0" in decoded:
        raise InputError("--data", "must be text in UTF-8, with no zeros in it", str(file))
    return decoded


def csv_rows(content, file):
    """Header and rows, lists of strings; the delimiter is the one that gives the header a path."""
    header = next((line for line in content.splitlines() if line.strip()), "")
    sniffed = (d for d in DELIMITERS if "path" in map(str.lower, fields(header, d)))
    delimiter = next(sniffed, ",")
    lines = io.StringIO(content, newline="")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    rows = not_blank(reader, file)
    header = [name.strip() for name in next(rows, [])]
    return header, (of_length(row, header, reader.line_num, file) for row in rows)


def not_blank(reader, file):
    try:
        yield from (row for row in reader if any(field.strip() for field in row))
    except csv.Error as error:
        rule = f"must be CSV whose quotes are closed ({error})"
        raise InputError("--data", rule, f"line {reader.line_num} of {file}") from None


def fields(line, delimiter):
    return [field.strip().strip('"').strip() for field in line.split(delimiter)]


def of_length(row, header, line, file):
    """A row with as many values as the header; empty values at its end may be missing or extra."""
    missing = len(header) - len(row)
    if any(field.strip() for field in row[len(header) :]):
        rule = f"must have {len(header)} values in each row, as in its header; it has {len(row)}:"
        rule += " a value with a delimiter in it needs quotes"
        raise InputError("--data", rule, f"line {line} of {file}")
    return row[: len(header)] + [""] * missing


def json_rows(content, file):
    """Header and rows as from `csv_rows`, from a JSON array of objects or an object per line."""
    if content.lstrip().startswith("["):
        records = decoded(content, file)
    else:
        lines = enumerate(content.split("\n"), start=1)
        records = [decoded(line, file, number) for number, line in lines if line.strip()]
    if not all(isinstance(record, dict) for record in records):
        rule = "must be JSON lines or a JSON array, of objects with path and label"
        raise InputError("--data", rule, str(file))
    header = list(dict.fromkeys(name for record in records for name in record))
    return header, (list(map(record.get, header)) for record in records)


def decoded(content, file, line=None):
    try:
        return json.loads(content, object_pairs_hook=once_each)
    except (ValueError, RecursionError) as error:
        rule = f"must be JSON lines or a JSON array, of objects with path and label ({error})"
        raise InputError("--data", rule, f"line {line} of {file}" if line else str(file)) from None


def once_each(pairs):
    """A JSON object; ValueError if it has a name twice, because either value might be meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"one has {twice} twice")
    return found


def as_text(value, column):
    """A value of JSON or CSV as a string."""
    if isinstance(value, list | dict):
        raise InputError(f"column {column}", "must have one value in each row", str(value)[:60])
    if value is None or value != value:  # null or NaN
        return ""
    text = json.dumps(value) if isinstance(value, bool) else str(value)
    if not text.isascii() and text.encode(errors="replace").decode() != text:
        raise InputError(f"column {column}", "must be text in UTF-8 in each row", text[:60])
    return text
