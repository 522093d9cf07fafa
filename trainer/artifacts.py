"""What makes a directory an artifact: a manifest.json, written last.

    <artifact>/
      manifest.json   {"schema_version", "kind", "made_by", "id", "parents", "files", ...}
      ...             the files of this kind of artifact

`files` has size and SHA-256 of every other file, `id` is a hash of the content, and `parents` are
the ids of the artifacts that it was made from. A directory without a manifest, or without a file
that the manifest lists, is not an artifact: its writer has not finished. An artifact that somebody
edited is never removed, but renamed.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
from pathlib import Path

import trainer
from trainer import outputs
from trainer.errors import InputError

PREPARED_DATASET = "prepared_dataset"
NOISY_LABELS = "noisy_labels"
PROBE_SPLIT = "probe_split"
BACKBONE = "backbone"
EMBEDDINGS = "embeddings"
BACKBONE_CHOICE = "backbone_choice"
CHECKPOINTS = "checkpoints"
MODEL = "model"
METRICS = "metrics"
SUMMARY = "summary"
LABEL_AUDIT = "label_audit"
EXPORTED_MODEL = "exported_model"

FOR_EDITING = {LABEL_AUDIT: ("label_issues.csv",)}  # where people write what they decide
SCHEMA_VERSION = 2
FULL = (os.strerror(errno.ENOSPC), " requested and ")  # of NumPy: "2 requested and 1 written"
MANIFEST = "manifest.json"
PARTIAL = MANIFEST + ".partial"
MADE_BY = "ieg-pipeline"


@contextlib.contextmanager
def writing(path):
    """A `with` block that writes an artifact and `finish`es it, or changes nothing.

    The block gets a directory beside `path`; at the end it replaces an earlier artifact in `path`.

    Raises:
      InputError: As for `start`, or the disk is full.
    """
    check_place(path)
    with enough_room(), outputs.replacing(path) as partial:
        yield start(partial)
        make_way(path)


@contextlib.contextmanager
def enough_room():
    """Turns the errors that Python and C++ libraries raise for a full disk into an InputError."""
    try:
        yield
    except Exception as error:
        if not any(sign in str(error) for sign in FULL):
            raise
        rule = "must be on a disk with enough room; free some, and run the same command again"
        raise InputError("output directory", rule, str(error).splitlines()[0]) from error


def start(path):
    """Begins an artifact: makes its directory, with nothing in it but the mark of a partial one.

    Args:
      path: The directory; an artifact in it is removed, or renamed if somebody edited it.

    Returns:
      `path` as a `pathlib.Path`.

    Raises:
      InputError: `path` cannot be written, or holds something that is not an artifact.
    """
    directory = check_place(path)
    make_way(path)
    with writable(path):
        if directory.exists():
            shutil.rmtree(directory)
        directory.mkdir()
        (directory / PARTIAL).touch()
    return directory


def check_place(path):
    """The directory; InputError if it cannot be written, or holds what is not an artifact."""
    directory = Path(path)
    with writable(path):
        directory.parent.mkdir(parents=True, exist_ok=True)
        if directory.exists() and any(directory.iterdir()) and not is_ours(directory):
            rule = "must be new or empty, or hold an artifact"
            raise InputError("output directory", rule, str(path))
    return directory


@contextlib.contextmanager
def writable(path):
    try:
        yield
    except OSError as error:
        raise InputError(
            "output directory", f"must be writable ({error.strerror})", str(path)
        ) from error


def make_way(path):
    """Renames the artifact in `path` if there is one that somebody edited."""
    if any(edited(Path(path))):
        outputs.set_aside(path)


def edited(directory):
    """The files of an artifact that were changed, or added, since it was written."""
    try:
        written = json.loads((directory / MANIFEST).read_text())["files"]
        since = (directory / MANIFEST).stat().st_mtime_ns
    except (OSError, ValueError, LookupError):  # nothing was finished there
        return
    for file in directory.rglob("*"):
        if not file.is_file() or file.name in (MANIFEST, PARTIAL):
            continue
        expected, found = written.get(str(file.relative_to(directory))), file.stat()
        same = expected is not None and found.st_size == expected["bytes"]
        if not same or (found.st_mtime_ns > since and fingerprint(file) != expected):
            yield file


def is_ours(directory):
    """Whether this module wrote the directory, whole or not: other programs have manifests too."""
    try:
        made_by = json.loads((directory / MANIFEST).read_text())["made_by"]
    except (OSError, ValueError, LookupError, TypeError):
        return (directory / PARTIAL).exists()
    return str(made_by).startswith(MADE_BY)


def finish(directory, kind, parents=None, id=None, **facts):
    """Ends an artifact: writes the manifest that declares it whole.

    Args:
      directory: The directory that `start` returned, now with all its files.
      kind: Kind of artifact, such as "noisy_labels".
      parents: Manifests of the artifacts that this one is made from, by their kind.
      id: Hash of the content; by default a hash of the files.
      **facts: Further entries of the manifest.

    Returns:
      The manifest.
    """
    files = {
        str(file.relative_to(directory)): fingerprint(file)
        for file in sorted(directory.rglob("*"))
        if file.is_file() and file.name not in (MANIFEST, PARTIAL)
    }
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "kind": kind,
        "made_by": f"{MADE_BY} {trainer.__version__}",
        "id": id or hashlib.sha256(json.dumps([kind, files]).encode()).hexdigest(),
        "parents": {role: parent["id"] for role, parent in (parents or {}).items()},
        **facts,
        "files": files,
    }
    write_json(directory / MANIFEST, manifest)
    return manifest


def read(path, kind):
    """The manifest of the artifact in `path`.

    Args:
      path: Its directory.
      kind: The kind of artifact that is expected.

    Raises:
      InputError: There is nothing, a partial artifact, or another kind.
    """
    directory = Path(path)
    try:
        manifest = dict(json.loads((directory / MANIFEST).read_text()))
    except FileNotFoundError:
        state = "is half-written" if directory.is_dir() else "does not exist"
        raise InputError(
            kind, f"must hold a {MANIFEST}; the directory {state}", str(path)
        ) from None
    except (OSError, TypeError, ValueError) as error:
        raise InputError(kind, f"must have a readable {MANIFEST} ({error})", str(path)) from None
    found, version = manifest.get("kind"), manifest.get("schema_version")
    if found != kind:
        raise InputError(kind, f"must be of kind {kind}", f"{found}, in {path}")
    if version != SCHEMA_VERSION:
        maker = manifest.get("made_by", "another version")
        rule = f"must be of schema version {SCHEMA_VERSION}; {maker} wrote it: run again with this"
        rule += " version, in another directory"
        raise InputError(kind, rule, f"version {version}, in {path}")
    for name, expected in manifest["files"].items():
        file = directory / name
        if name in FOR_EDITING.get(kind, ()):
            continue
        if not file.is_file() or file.stat().st_size != expected["bytes"]:
            raise InputError(
                kind,
                f"must be whole; {name} is missing or has another size: write it again",
                str(path),
            )
    return manifest


def check_parent(child, parent):
    """Raises InputError unless the artifact `child` was made from `parent`; both are manifests."""
    made_from = child["parents"].get(parent["kind"])
    if made_from != parent["id"]:
        rule = f"must be made from the {parent['kind']} it is used with, {parent['id'][:12]}"
        raise InputError(child["kind"], rule, made_from and made_from[:12])


def fingerprint(file):
    with open(file, "rb") as stream:
        return {
            "bytes": file.stat().st_size,
            "sha256": hashlib.file_digest(stream, "sha256").hexdigest(),
        }


def write_json(path, content):
    """Writes a JSON file so that readers see all of it or none."""
    outputs.write_text(path, json.dumps(content, indent=2) + "\n")


def scalars(manifest):
    """The plain entries of a manifest: what a pipeline's user interface can show."""
    return {k: v for k, v in manifest.items() if isinstance(v, str | int | float)}
