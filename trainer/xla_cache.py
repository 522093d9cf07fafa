"""Keeps the steps that XLA has compiled for later runs on this machine."""

import os
from pathlib import Path

FLAGS, DIRECTORY = "TF_XLA_FLAGS", "--tf_xla_persistent_cache_directory="


def keep():
    """Tells TensorFlow, before it is imported, where to keep them, unless FLAGS already does.

    Each machine has its own: what is compiled is for its processor. Nothing is kept where the
    directory cannot be written, which would end a run.
    """
    given = os.environ.get(FLAGS, "")
    user = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    place = Path(user, "ieg-pipeline", "xla", os.uname().nodename)
    there = next(path for path in (place, *place.parents) if path.exists())
    possible = there.is_dir() and os.access(there, os.W_OK) and " " not in str(place)
    is_list = given[:1] in ("", "-")  # else it names a file
    if possible and is_list and DIRECTORY not in given:
        os.environ[FLAGS] = f"{given} {DIRECTORY}{place}".strip()
