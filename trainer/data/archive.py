"""Zip archives from outside, unpacked safely."""

import os
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from trainer import outputs
from trainer.errors import InputError

LARGEST_RATIO = 10  # of the unpacked to the packed size; images hardly shrink
SMALL = 100 << 20  # bytes for which the ratio does not matter


def unpacked(path):
    """The directory of an archive's content, beside the archive; unpacks it the first time.

    Raises:
      InputError: It is not a whole zip archive, or could do harm; nothing is unpacked.
    """
    path = Path(path)
    directory = path.with_name(path.name + ".unpacked")
    if directory.is_dir() and directory.stat().st_mtime >= path.stat().st_mtime:
        return directory
    try:
        with zipfile.ZipFile(path) as archive, outputs.replacing(directory) as partial:
            members = archive.infolist()
            check(path, members)
            for member in tqdm(members, desc=f"unpack {path.name}", unit=" files"):
                archive.extract(member, partial)
            os.utime(partial)
    except (OSError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        raise InputError("archive", f"must be a whole zip archive ({error})", str(path)) from error
    return directory


def check(path, members):
    """Raises InputError unless all members stay in the directory and on the disk.

    `zipfile` reads no more of a member than its header says, so the sizes can be relied on.
    """
    for member in members:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts:
            raise InputError("archive", f"must not have names such as {name}", str(path))
        if stat.S_ISLNK(member.external_attr >> 16):
            raise InputError("archive", f"must not have links such as {name}", str(path))
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise InputError("archive", "must have each name once", str(path))
    size = sum(member.file_size for member in members)
    if size > SMALL and size > LARGEST_RATIO * path.stat().st_size:
        rule = f"must be at most {LARGEST_RATIO} times as large unpacked; it has {size} bytes"
        raise InputError("archive", rule, str(path))
    free = shutil.disk_usage(path.parent).free
    if size > free:
        rule = f"must fit on its disk unpacked, {size} bytes; {free} are free"
        raise InputError("archive", rule, str(path))
