import os
import struct
import zipfile

import pytest

from trainer.data import archive
from trainer.errors import InputError


def write(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_what_was_packed_is_unpacked_once(tmp_path):
    path = write(tmp_path / "a.zip", {"x/ö.txt": "1", "y": "2"})
    directory = archive.unpacked(path)
    assert (directory / "x" / "ö.txt").read_text() == "1"
    (directory / "y").write_text("mine")
    assert (archive.unpacked(path) / "y").read_text() == "mine"
    write(path, {"y": "newer"})
    os.utime(path, (directory.stat().st_mtime + 1,) * 2)
    assert (archive.unpacked(path) / "y").read_text() == "newer"
    assert sorted(os.listdir(tmp_path)) == ["a.zip", "a.zip.unpacked"]


def link(path):
    member = zipfile.ZipInfo("link")
    member.external_attr = 0o120777 << 16
    return write(path, {member: "/etc/passwd"})


def lying(path):
    """An archive that declares 200 MB of zeros as 1 kB."""
    size = 200 << 20
    write(path, {"a": bytes(size)})
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", size), struct.pack("<I", 1000)))
    return path


def truncated(path):
    content = write(path, {"a": os.urandom(10_000)}).read_bytes()
    path.write_bytes(content[:5_000])
    return path


def damaged(path):
    content = bytearray(write(path, {"a": os.urandom(10_000)}).read_bytes())
    content[5_000] ^= 1
    path.write_bytes(content)
    return path


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: write(path, {"a": "", "../b": ""}), r"must not have names such as \.\./b"),
        (lambda path: write(path, {"a/../../b": ""}), r"must not have names such as a/\.\./\.\./b"),
        (lambda path: write(path, {"..\\b": ""}), "must not have names such as"),
        (lambda path: write(path, {"/b": ""}), "must not have names such as /b"),
        (lambda path: write(path, {"a": "", zipfile.ZipInfo("a"): ""}), "must have each name once"),
        (lambda path: write(path, {"a": bytes(200 << 20)}), "must be at most 10 times as"),
        (link, "must not have links such as link"),
        (lying, "must be a whole zip archive"),
        (truncated, "must be a whole zip archive"),
        (damaged, "must be a whole zip archive .*CRC"),
    ],
)
def test_archives_that_are_refused(make, message, tmp_path):
    path = make(tmp_path / "a.zip")
    with pytest.raises(InputError, match=message):
        archive.unpacked(path)
    assert os.listdir(tmp_path) == ["a.zip"]


def test_one_larger_than_its_disk(tmp_path, monkeypatch):
    path = write(tmp_path / "a.zip", {"a": b"1" * 1000})
    free = archive.shutil.disk_usage(tmp_path)._replace(free=999)
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda path: free)
    with pytest.raises(InputError, match="must fit on its disk unpacked, 1000 bytes; 999 are free"):
        archive.unpacked(path)


def test_one_that_was_cut_off_is_unpacked_again(tmp_path):
    path = write(tmp_path / "a.zip", {"a": "1"})
    (tmp_path / "a.zip.partial").mkdir()
    (tmp_path / "a.zip.partial" / "half").write_text("")
    assert os.listdir(archive.unpacked(path)) == ["a"]
