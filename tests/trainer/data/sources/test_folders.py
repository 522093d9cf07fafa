"""Images found in the directories of users, and the report on other files."""

import contextlib
import csv
import os
import shutil
import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer.data import records
from trainer.data.sources import folders
from trainer.errors import InputError
from trainer.settings.data import DataSettings

numbers = iter(range(10**6))


def draw(*paths, kind="PNG"):
    """A different picture at each path, in a format that its name need not match."""
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(next(numbers)).integers(256, size=(9, 9, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(path, kind)


def classes(root, names=("cat", "dog"), count=5):
    for name in names:
        draw(*(root / name / f"{i}.png" for i in range(count)))
    return root


@pytest.fixture
def prepare(tmp_path):
    """A function that prepares a folder. Returns the manifest and {path: reason} of other files."""

    def prepare(root, **settings):
        out = tmp_path / "prepared"
        given = {name: str(value) for name, value in settings.items()}
        written = records.prepare("image_folder", out, DataSettings(data=str(root), **given))
        left_out = {}
        if written["left_out"]:
            with open(out / "left_out.csv", newline="", encoding="utf-8") as stream:
                left_out = {row["path"]: row["reason"] for row in csv.DictReader(stream)}
        return written, {os.path.relpath(path, root): left_out[path] for path in left_out}

    return prepare


@pytest.fixture
def photos(tmp_path):
    return classes(tmp_path / "photos")


def total(written):
    return {
        name: sum(of.get(name, 0) for of in written["images"].values())
        for name in written["class_names"]
    }


def test_what_decodes_is_an_image_whatever_its_name(photos, prepare):
    for name, kind in (("a.jfif", "JPEG"), ("b.JPG", "JPEG"), ("c", "WEBP"), ("d.png", "JPEG")):
        draw(photos / "bird" / name, kind=kind)
    draw(photos / "bird" / "e.image.txt", kind="BMP")
    (photos / "bird" / "names.txt").write_text("no image")
    (photos / "bird" / "table.pdf").write_bytes(b"%PDF-1.4")
    draw(photos / "bird" / "f.DNG", kind="TIFF")
    written, left_out = prepare(photos)
    assert total(written) == {"bird": 5, "cat": 5, "dog": 5}
    assert set(left_out) == {"bird/names.txt", "bird/table.pdf", "bird/f.DNG"}
    assert written["left_out_reasons"] == {"is no image": 2, "is raw; save it as JPEG or PNG": 1}
    assert written["conversions"] == {"BMP": 1, "WEBP": 1}


@pytest.mark.parametrize("folder", [".ipynb_checkpoints", "__MACOSX", "@eaDir", "#recycle"])
def test_files_of_operating_systems_are_left_out_at_every_depth(photos, prepare, folder):
    for parent in (photos, photos / "cat", photos / "cat" / "2024"):
        draw(parent / folder / "cat" / "x.png")
    draw(photos / "cat" / "._x.png", photos / "dog" / "Thumbs.db")
    (photos / ".DS_Store").write_bytes(b"x")
    written, left_out = prepare(photos)
    assert total(written) == {"cat": 5, "dog": 5}
    assert set(left_out.values()) == {"is hidden, or left by a system"}
    assert {f"cat/2024/{folder}", f"cat/{folder}", folder, ".DS_Store", "cat/._x.png"} < {*left_out}


def test_images_at_any_depth_belong_to_the_class(photos, prepare, capsys):
    draw(photos / "cat" / "2024" / "may" / "x.png")
    written, _ = prepare(photos)
    assert total(written) == {"cat": 6, "dog": 5}
    note = f"{photos}: 1 image below class folders, such as in cat/2024/may"
    assert note in written["notes"]
    assert note in capsys.readouterr().out


def test_links_are_followed_and_loops_are_reported(photos, prepare, tmp_path):
    disk = classes(tmp_path / "disk", ("bird", "fish"))
    os.symlink(disk / "bird", photos / "bird")
    (photos / "fish").mkdir()
    os.symlink(disk / "fish", photos / "fish" / "2024")
    os.link(disk / "fish" / "0.png", photos / "fish" / "again.png")
    os.symlink(photos, photos / "cat" / "loop")
    os.symlink(tmp_path / "none.png", photos / "cat" / "dead.png")
    written, left_out = prepare(photos)
    assert total(written) == {"bird": 5, "cat": 5, "dog": 5, "fish": 5}
    assert left_out["cat/loop"] == "is a link to a folder that it lies in"
    assert left_out["cat/dead.png"] == "is a link to nothing"
    assert left_out["fish/again.png"].startswith("is the same file as ")


@pytest.mark.parametrize(
    ("train", "others", "tested"),
    [
        ("train", ("test",), "test"),
        ("Training", ("Testing",), "Testing"),
        ("TRAIN", ("Validation",), "Validation"),
        ("train", ("valid", "test"), "test"),
    ],
)
def test_splits(tmp_path, prepare, train, others, tested):
    classes(tmp_path / "photos" / train, count=4)
    for i, name in enumerate(others, start=1):
        classes(tmp_path / "photos" / name, count=i)
    written, left_out = prepare(tmp_path / "photos")
    count = 2 * (others.index(tested) + 1)
    assert written["num_examples"] == {"train": 8, "test": count}
    assert f"{tmp_path}/photos/{tested}: {count} images tested on" in written["notes"]
    assert set(left_out.values()) == ({"is a validation image"} if len(others) == 2 else set())


def test_a_test_that_is_given_leaves_the_validation_out(tmp_path, prepare):
    for name in ("photos/train", "photos/val", "other"):
        classes(tmp_path / name)
    written, left_out = prepare(tmp_path / "photos", test=tmp_path / "other")
    assert (written["num_examples"], len(left_out)) == ({"train": 10, "test": 10}, 10)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("cat", "dog", "test"),
            "not both; if test is a class, rename its folder; .*Received: 'test beside cat, dog",
        ),
        (("train", "car", "bus"), "not both; .*Received: 'train beside bus, car"),
        (("val", "test"), "must hold train beside other splits"),
        (("train", "Training", "test"), "must hold one folder of each split"),
        (("pets",), "must hold two class folders or more; .*/pets may be the one to give"),
    ],
)
def test_layouts_that_could_be_several_things(tmp_path, prepare, names, message):
    for name in names:
        classes(tmp_path / "photos" / name)
    with pytest.raises(InputError, match=f"--data: .*{message}"):
        prepare(tmp_path / "photos")


def test_two_spellings_of_a_class_are_one(photos, prepare, tmp_path):
    for form in ("NFC", "NFD"):
        draw(*(photos / unicodedata.normalize(form, "käfer") / f"{form}{i}.png" for i in range(3)))
    trusted = classes(tmp_path / "trusted", (unicodedata.normalize("NFD", "käfer"), "dog"))
    written, _ = prepare(photos, trusted=trusted)
    assert total(written) == {"cat": 5, "dog": 10, unicodedata.normalize("NFC", "käfer"): 11}


def test_a_name_that_is_not_utf_8(photos, prepare):
    shutil.copy(photos / "cat" / "0.png", os.fsencode(photos / "cat") + b"/caf\xe9.png")
    with pytest.raises(InputError, match=r"--data: .* UTF-8; .*caf\\udce9.png"):
        prepare(photos)


@contextlib.contextmanager
def as_another_user():
    """Root may read everything; another user may not."""
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o600])
def test_unreadable_files_are_reported(mode):
    with tempfile.TemporaryDirectory() as open_to_all:
        os.chmod(open_to_all, 0o755)
        photos = classes(Path(open_to_all) / "photos")
        shutil.copy(photos / "cat" / "0.png", photos / "cat" / "picture")
        (photos / "cat" / "picture").chmod(0)
        settings = DataSettings(data=str(photos))
        with as_another_user():
            found = folders.data_folder(settings)
        assert found.left_out == [(str(photos / "cat" / "picture"), "cannot be read")]
        (photos / "dog").chmod(mode)
        rule = r"a directory that can be read \(Permission denied\).*dog"
        with as_another_user(), pytest.raises(InputError, match=rule):
            folders.data_folder(settings)
        (photos / "dog").chmod(0o700)


@pytest.mark.parametrize("flag", ["trusted", "test"])
def test_folders_that_are_given_lie_in_the_data(photos, prepare, flag):
    for place in (photos / "checked", photos / "cat" / "checked"):
        inside = classes(place, count=2)
        written, left_out = prepare(photos, **{flag: inside})
        assert sum(total(written).values()) == 14
        assert left_out[os.path.relpath(inside, photos)] == f"is given as --{flag}"
        assert f"{inside}/ is left out of --data: it is given as --{flag}" in written["notes"]
        shutil.rmtree(inside)


@pytest.mark.parametrize("flag", ["trusted", "test"])
def test_folders_that_are_given_and_hold_nothing(photos, prepare, tmp_path, flag):
    (tmp_path / "flat").mkdir()
    for count in range(2):
        with pytest.raises(InputError, match=f"--{flag}: must hold a folder .* {count} lie in non"):
            prepare(photos, **{flag: tmp_path / "flat"})
        draw(tmp_path / "flat" / "0.png")
    bad = tmp_path / "bad" / "cat" / "0.png"
    bad.parent.mkdir(parents=True)
    bad.write_text("no image")
    with pytest.raises(InputError, match=f"--bad_images: must leave some images of --{flag}"):
        prepare(photos, bad_images="skip", **{flag: tmp_path / "bad"})


def test_a_class_of_bad_images_alone(photos, prepare):
    (photos / "bird").mkdir()
    (photos / "bird" / "0.jpg").write_text("no image")
    with pytest.raises(InputError, match="--bad_images: must leave some images of class bird"):
        prepare(photos, bad_images="skip")


def test_class_folders_in_a_class_are_refused(photos, prepare):
    for name in ("cat", "dog"):
        draw(photos / "checked" / name / "x.png")
    with pytest.raises(InputError, match=r"or --test\. Received: 'cat, dog in .*checked'"):
        prepare(photos)
    written, _ = prepare(photos, trusted=photos / "checked")
    assert list(written["class_names"]) == ["cat", "dog"]


def test_images_outside_of_class_folders(photos, prepare, tmp_path):
    draw(photos / "x.png")
    (photos / "empty").mkdir()
    written, left_out = prepare(photos)
    assert left_out == {"x.png": "lies in no class folder", "empty": "is an empty folder"}
    assert written["notes"] == (
        f"{photos}: 1 image in no class folder left out",
        f"{photos}: no image in empty, so no class",
    )
    draw(tmp_path / "flat" / "x.png")
    with pytest.raises(InputError, match=r"--data: must hold a folder .* 1 lie in none"):
        prepare(tmp_path / "flat")


def test_names_that_no_terminal_takes_are_escaped(photos, prepare, capsys):
    draw(photos / "new\nline" / "0.png", photos / "new\nline" / "1.png")
    os.mkdir(os.fsencode(photos) + b"/caf\xe9")
    written, _ = prepare(photos)
    said = capsys.readouterr().out
    said.encode()
    assert "new\\nline" in said
    assert "no image in caf\\udce9, so no class" in said
    assert all(line.startswith("note: ") for line in said.splitlines() if ": " in line)
    assert written["images"]["train"]["new\nline"] == 2


def test_a_summary_is_printed(photos, prepare, capsys):
    draw(photos / "cat" / "x.gif", kind="GIF")
    (photos / "cat" / "notes.txt").write_text("no image")
    prepare(photos)
    said = capsys.readouterr().out.replace("note: ", "").splitlines()
    assert said[0].startswith("train: 8 images, cat: ")
    assert said[1].startswith("test: 3 images, cat: ")
    assert any(line.startswith("1 file is left out (is no image: 1); ") for line in said)
    assert any(line.startswith("1 file is converted (GIF: 1); ") for line in said)


@pytest.mark.parametrize(
    "names", [("train", "test"), ("Training", "valid", "Testing"), ("train", "val")]
)
def test_splits_in_each_class_are_splits(tmp_path, prepare, names):
    for kind in ("cat", "dog"):
        classes(tmp_path / "photos" / kind, names)
    (tmp_path / "photos" / "cat" / names[0] / ".DS_Store").touch()
    written, left_out = prepare(tmp_path / "photos")
    assert written["images"] == {"train": {"cat": 5, "dog": 5}, "test": {"cat": 5, "dog": 5}}
    assert any("in class folders are splits" in note for note in written["notes"])
    reasons = ["is a validation image"] * 10 if len(names) > 2 else []
    assert sorted(left_out.values()) == [*reasons, "is hidden, or left by a system"]


def test_splits_in_some_classes_are_refused(photos):
    classes(photos / "cat", ("train", "test"))
    rule = (
        "must hold splits in all class folders or in none; .*Received: 'cat/test beside cat/0.png"
    )
    with pytest.raises(InputError, match=rule):
        folders.data_folder(DataSettings(data=str(photos)))
    for kind in ("cat", "dog"):
        shutil.rmtree(photos / "cat" / "train", ignore_errors=True)
        classes(photos / kind, ("test",))
    with pytest.raises(InputError, match="must hold splits in all class folders or in none"):
        folders.data_folder(DataSettings(data=str(photos)))


def test_folders_below_classes_need_be_no_splits(photos, prepare):
    """One class has a folder of this name, or all have train alone."""
    classes(photos / "cat", ("test",))
    assert total(prepare(photos)[0]) == {"cat": 10, "dog": 5}
    shutil.rmtree(photos)
    for kind in ("cat", "dog"):
        classes(photos / kind, ("train",))
    assert total(prepare(photos)[0]) == {"cat": 5, "dog": 5}


def test_a_note_names_a_class_that_may_mean_a_missing_label(photos, prepare):
    classes(photos, ("unknown", "NA"))
    notes = prepare(photos)[0]["notes"]
    for name in ("unknown", "NA"):
        note = f"'{name}' is a class of 5 images; if it stands for a missing label, remove these"
        assert f"{note} images" in notes
    assert not any("'cat'" in note for note in notes)


def test_a_test_without_classes_leaves_the_validation_to_test_on(tmp_path, prepare):
    """As in competitions, whose test labels are not published."""
    classes(tmp_path / "photos" / "train")
    classes(tmp_path / "photos" / "val", count=2)
    draw(*(tmp_path / "photos" / "test" / f"{i}.png" for i in range(3)))
    written, left_out = prepare(tmp_path / "photos")
    assert written["images"] == {"train": {"cat": 5, "dog": 5}, "test": {"cat": 2, "dog": 2}}
    assert left_out == {f"test/{i}.png": "lies in no class folder" for i in range(3)}


@pytest.mark.parametrize("names", [("train2017", "val2017"), ("seg_train", "seg_test", "seg_pred")])
def test_what_is_named_like_splits_is_no_class(tmp_path, names):
    rule = f"rename {names[0]} to train and |rename .* and {names[0]} to train"
    with pytest.raises(InputError, match=rule):
        folders.data_folder(DataSettings(data=str(classes(tmp_path / "photos", names))))
    many = classes(tmp_path / "many", ("train station", "test tube", "bus", "car"))
    assert len(folders.data_folder(DataSettings(data=str(many))).parts[0]) == 20


def test_splits_one_folder_lower_are_named(tmp_path):
    classes(tmp_path / "photos" / "images" / "train")
    classes(tmp_path / "photos" / "images" / "val")
    with pytest.raises(InputError, match=r"photos/images may be the one to give"):
        folders.data_folder(DataSettings(data=str(tmp_path / "photos")))


def test_a_class_whose_name_nobody_sees(photos, prepare):
    classes(photos, ("\u200b",))
    with pytest.raises(InputError, match=r"class names with visible characters.*u200b' \(5\)"):
        prepare(photos)
