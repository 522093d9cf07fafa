"""Folders and tables of real files."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.image_files import CLASSES, write_images
from trainer.data import probe, records, sources
from trainer.data.noise import injection
from trainer.errors import InputError
from trainer.settings.data import DataSettings


@pytest.fixture
def folder(tmp_path):
    return write_images(tmp_path / "images", 20)


def test_files_pass_through_as_they_are(folder, tmp_path):
    written = records.prepare("image_folder", tmp_path / "a", DataSettings(data=folder))
    assert written["class_names"] == CLASSES
    assert written["image_shape"] == (30, 40, 3)
    assert written["num_examples"] == {"train": 32, "test": 8}
    encoded = records.EncodedImages(tmp_path / "a", "train")[np.arange(32)]
    files = {file.read_bytes(): file.parent.name for file in folder.rglob("*.jpg")}
    labels = records.read_labels(tmp_path / "a", "train")
    assert [files[image] for image in encoded] == [CLASSES[label] for label in labels]
    test = records.EncodedImages(tmp_path / "a", "test")[np.arange(8)]
    assert set(files) == {*encoded, *test}
    assert np.all(records.read_clean_labels(tmp_path / "a") == -1)
    assert len(records.read_trusted_ids(tmp_path / "a")) == 0


def test_the_held_out_fifth_is_stratified_and_always_the_same(folder, tmp_path):
    ids = {
        records.prepare("image_folder", tmp_path / name, DataSettings(data=folder))["id"]
        for name in "ab"
    }
    assert len(ids) == 1
    np.testing.assert_array_equal(np.bincount(records.read_labels(tmp_path / "a", "test")), [4, 4])


def test_train_and_test_folders(tmp_path):
    write_images(tmp_path / "images" / "train", 3)
    write_images(tmp_path / "images" / "test", 2, seed=1, suffix="PNG")
    settings = DataSettings(data=tmp_path / "images")
    written = records.prepare("image_folder", tmp_path / "a", settings)
    assert written["num_examples"] == {"train": 6, "test": 4}


def test_trusted_images_are_the_probe(folder, tmp_path):
    trusted = write_images(tmp_path / "trusted", 3, size=(70, 80), seed=1)
    test = write_images(tmp_path / "test", 2, seed=2)
    settings = DataSettings(data=folder, trusted=trusted, test=test)
    written = records.prepare("image_folder", tmp_path / "a", settings)
    assert written["num_examples"] == {"train": 46, "test": 4}
    assert written["image_shape"] == (None, None, 3)
    probe.split(tmp_path / "a", tmp_path / "probe", per_class=2, seed=0)
    ids, train_ids, _ = probe.read_split(tmp_path / "probe", written)
    files = {file.read_bytes() for file in trusted.rglob("*.jpg")}
    assert set(records.EncodedImages(tmp_path / "a", "train", ids)[np.arange(4)]) <= files
    np.testing.assert_array_equal(records.read_clean_labels(tmp_path / "a")[ids], [0, 1, 0, 1])
    assert len(train_ids) == 40  # two more are trusted


def test_noise_none_keeps_labels_and_claims_no_true_labels(folder, tmp_path):
    records.prepare("image_folder", tmp_path / "a", DataSettings(data=folder))
    written = injection.inject(tmp_path / "a", tmp_path / "noise", "none", 0, seed=0)
    assert written["wrong_labels"] is None
    given, _ = injection.read_noisy_labels(
        tmp_path / "noise", records.read_manifest(tmp_path / "a")
    )
    np.testing.assert_array_equal(given, records.read_labels(tmp_path / "a", "train"))


def test_no_noise_for_a_set_without_a_map(folder, tmp_path):
    records.prepare("image_folder", tmp_path / "a", DataSettings(data=folder))
    with pytest.raises(
        InputError, match="--noise_file: must name a JSON map for datasets other than"
    ):
        injection.inject(tmp_path / "a", tmp_path / "noise", "asymmetric", 0.4, seed=0)


ROWS = [
    {"path": f"images/{name}/{i:03d}.jpg", "given": CLASSES[(i % 4 == 0) ^ c], "truth": name}
    for c, name in enumerate(CLASSES)
    for i in range(20)
]


def write_csv(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_json_lines(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


@pytest.mark.parametrize(("name", "write"), [("t.csv", write_csv), ("t.jsonl", write_json_lines)])
def test_a_table_with_the_truth_beside_it(folder, tmp_path, name, write):
    rows = [row | {"split": "test" if i % 10 == 9 else "train"} for i, row in enumerate(ROWS)]
    table = write(tmp_path / name, rows)
    settings = DataSettings(data=table, label_column="given", clean_label_column="truth")
    written = records.prepare("csv", tmp_path / "a", settings)
    assert written["num_examples"] == {"train": 36, "test": 4}
    wrong = records.read_clean_labels(tmp_path / "a") != records.read_labels(
        tmp_path / "a", "train"
    )
    assert wrong.sum() == 10
    injected = injection.inject(tmp_path / "a", tmp_path / "noise", "none", 0, seed=0)
    assert injected["wrong_labels"] == pytest.approx(10 / 36)
    probe.split(tmp_path / "a", tmp_path / "probe", per_class=5, seed=0)


def test_trusted_rows_are_the_probe(folder, tmp_path):
    rows = [row | {"trusted": int(i % 5 == 0)} for i, row in enumerate(ROWS)]
    settings = DataSettings(
        data=write_csv(tmp_path / "t.csv", rows), label_column="given", clean_label_column="truth"
    )
    records.prepare("csv", tmp_path / "a", settings)
    assert len(records.read_trusted_ids(tmp_path / "a")) == 8


def test_trusted_rows_need_no_column_of_true_labels(folder, tmp_path):
    rows = [row | {"trusted": int(i % 5 == 0)} for i, row in enumerate(ROWS)]
    table = write_csv(tmp_path / "t.csv", rows)
    records.prepare("csv", tmp_path / "a", DataSettings(data=table, label_column="truth"))
    probe.split(tmp_path / "a", tmp_path / "probe", per_class=4, seed=0)
    assert np.sum(records.read_clean_labels(tmp_path / "a") >= 0) == 8


def test_true_labels_are_tested_on(folder, tmp_path):
    table = write_csv(tmp_path / "t.csv", ROWS)
    settings = DataSettings(data=table, label_column="given", clean_label_column="truth")
    records.prepare("csv", tmp_path / "a", settings)
    truth = {(folder.parent / row["path"]).read_bytes(): row["truth"] for row in ROWS}
    images = records.EncodedImages(tmp_path / "a", "test")[np.arange(8)]
    labels = records.read_labels(tmp_path / "a", "test")
    assert [truth[image] for image in images] == [CLASSES[label] for label in labels]


def bad_files(root):
    """{name: what is wrong with it} of files written into a directory."""
    pixels = np.random.default_rng(0).integers(256, size=(40, 40, 3)).astype(np.uint8)
    image = Image.fromarray(pixels)
    image.save(root / "whole.jpg")
    whole = (root / "whole.jpg").read_bytes()
    (root / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "empty.png").write_bytes(b"")
    (root / "text.jpg").write_text("no image")
    Image.fromarray(pixels[..., 0].astype(np.float32)).save(root / "float.tif")
    image.save(root / "end.png")
    (root / "end.png").write_bytes((root / "end.png").read_bytes()[:-12])
    Image.new("L", (1, 1)).save(root / "dot.png")
    Image.new("L", (20_000, 8)).save(root / "long.png")
    return {
        "truncated.jpg": "cannot be decoded",
        "empty.png": "cannot be decoded",
        "text.jpg": "cannot be decoded",
        "float.tif": "is of 32 bits",
        "end.png": "cannot be decoded by TensorFlow",
        "dot.png": "is not of 8 to 10000 pixels a side (but 1 x 1)",
        "long.png": "is not of 8 to 10000 pixels a side (but 20000 x 8)",
    }


def read_left_out(path):
    with open(path / "left_out.csv", newline="", encoding="utf-8") as stream:
        return {Path(row["path"]).name: row["reason"] for row in csv.DictReader(stream)}


def test_bad_images_are_left_out_and_listed(folder, tmp_path):
    bad = bad_files(folder / CLASSES[0])
    with pytest.raises(InputError, match="7 such files; --bad_images=skip leaves them out"):
        records.prepare("image_folder", tmp_path / "a", DataSettings(data=folder))
    assert not (tmp_path / "a").exists()
    settings = DataSettings(data=folder, bad_images="skip")
    written = records.prepare("image_folder", tmp_path / "a", settings)
    assert (sum(written["num_examples"].values()), written["left_out"]) == (41, 7)
    listed = read_left_out(tmp_path / "a")
    assert set(listed) == set(bad)
    for name, reason in bad.items():
        assert listed[name].startswith(reason)


def test_images_that_are_tested_or_trusted_are_not_trained_on(folder, tmp_path):
    test = write_images(tmp_path / "test", 2, seed=1)
    trusted = write_images(tmp_path / "trusted", 2, seed=2)
    for i, other in enumerate((test, trusted)):
        file = other / CLASSES[0] / "000.jpg"
        (folder / CLASSES[1] / f"twin {i}.jpg").write_bytes(file.read_bytes())
    settings = DataSettings(data=folder, test=test, trusted=trusted)
    written = records.prepare("image_folder", tmp_path / "a", settings)
    assert written["num_examples"] == {"train": 44, "test": 4}
    listed = read_left_out(tmp_path / "a")
    assert set(listed) == {"twin 0.jpg", "twin 1.jpg"}
    assert listed["twin 0.jpg"].startswith("the same image as ")


def read_duplicates(path):
    with open(path / "duplicates.csv", newline="", encoding="utf-8") as stream:
        return [(row["image"], row["label"], row["part"]) for row in csv.DictReader(stream)]


def test_copies_of_trusted_images_go_before_anything_is_held_out(folder, tmp_path, capsys):
    """The trusted set may consist of copies; some of them are in the folder of another class."""
    for c, name in enumerate(CLASSES):
        (tmp_path / "trusted" / name).mkdir(parents=True)
        for i in range(6):
            given = CLASSES[c ^ (i == 0)]
            content = (folder / given / f"{i:03d}.jpg").read_bytes()
            (tmp_path / "trusted" / name / f"{i}.jpg").write_bytes(content)
    settings = DataSettings(data=folder, trusted=tmp_path / "trusted")
    written = records.prepare("image_folder", tmp_path / "a", settings)
    assert written["num_examples"] == {"train": 2 * (20 - 6) - 6 + 12, "test": 6}
    assert (written["repeated_images"], written["images_under_two_labels"]) == (12, 2)
    assert written["images_in_two_parts"] == 12
    found = read_duplicates(tmp_path / "a")
    assert [part for _, _, part in found].count("trusted") == len(found) / 2 == 12
    assert len({image for image, label, _ in found}) == 12
    assert "12 images occur more than once, 2 of them under two labels" in capsys.readouterr().out
    probe.split(tmp_path / "a", tmp_path / "probe", per_class=6, seed=0)


def test_an_image_under_two_labels_is_listed(folder, tmp_path):
    (folder / CLASSES[1] / "twin.jpg").write_bytes((folder / CLASSES[0] / "000.jpg").read_bytes())
    written = records.prepare("image_folder", tmp_path / "a", DataSettings(data=folder))
    assert (written["images_under_two_labels"], written["images_in_two_parts"]) == (1, 0)
    assert read_duplicates(tmp_path / "a") == [("0", name, "train") for name in CLASSES]


def test_classes_too_small_to_hold_out_stay_whole(tmp_path, capsys):
    root = write_images(tmp_path / "images", 10)
    for name, count in (("rare", 3), ("rarest", 1)):
        (root / name).mkdir()
        for i in range(count):
            pixels = np.random.default_rng(99 + i + count).integers(256, size=(9, 9, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{i}.png")
    records.prepare("image_folder", tmp_path / "a", DataSettings(data=root))
    assert list(np.bincount(records.read_labels(tmp_path / "a", "train"))) == [3, 1, 8, 8]
    assert list(np.bincount(records.read_labels(tmp_path / "a", "test"))) == [0, 0, 2, 2]
    assert "class rare has 3, class rarest has 1; all their images" in capsys.readouterr().out


@pytest.mark.parametrize("names", [CLASSES[:1], CLASSES], ids=["a class", "all"])
def test_classes_that_are_tested_on_whole(folder, tmp_path, names):
    for name in names:
        shutil.copytree(folder / name, tmp_path / "test" / name)
    settings = DataSettings(data=str(folder), test=str(tmp_path / "test"))
    with pytest.raises(InputError, match="--test: must leave images to train on; all of tabby cat"):
        records.prepare("image_folder", tmp_path / "a", settings)


def test_a_message_on_a_thousand_classes_is_short(tmp_path):
    rows = [{"path": f"{i}.png", "label": str(i)} for i in range(1000)]
    for row in rows:
        Image.new("L", (8, 8)).save(tmp_path / row["path"])
    write_csv(tmp_path / "t.csv", rows)
    with pytest.raises(InputError, match=r"class 19 has 1, \.\.\. \(1000 in all\)") as error:
        records.prepare("csv", tmp_path / "a", DataSettings(data=str(tmp_path / "t.csv")))
    assert len(str(error.value)) < 1000


def wrong(name, message, **settings):
    return pytest.param(name, settings, message, id=message[:40])


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        wrong("image_folder", "--data: must be a directory", data="none"),
        wrong("image_folder", "--data: must have images of two classes or more", data="empty"),
        wrong("image_folder", "--trusted: must be a directory", data="images", trusted="none"),
        wrong(
            "image_folder",
            "label of .*must be a class of the training examples .*Received: 'dog'",
            data="images",
            trusted="other",
        ),
        wrong("image_folder", "image: cannot be decoded .*000.jpg", data="broken"),
        wrong("image_folder", "--test: must be given: a fifth", data="few"),
        wrong("csv", "--data: must be a CSV file or JSON", data="none.csv"),
        wrong(
            "csv", "--data: must have a column label .*; it has path, given, truth", data="t.csv"
        ),
        wrong(
            "csv", "--data: must have path and given in each", data="gap.csv", label_column="given"
        ),
        wrong("csv", "image: cannot be read .*none.jpg", data="lost.csv", label_column="given"),
    ],
)
def test_wrong_files(folder, tmp_path, monkeypatch, name, settings, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_images(tmp_path / "few", 1)
    (write_images(tmp_path / "broken", 3) / CLASSES[0] / "000.jpg").write_bytes(b"no image")
    (tmp_path / "other" / "dog").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(tmp_path / "other" / "dog" / "a.png")
    write_csv(tmp_path / "t.csv", ROWS)
    write_csv(tmp_path / "gap.csv", [*ROWS, ROWS[0] | {"given": ""}])
    write_csv(tmp_path / "lost.csv", [*ROWS, ROWS[0] | {"path": "images/none.jpg"}])
    with pytest.raises(InputError, match=message):
        records.prepare(name, tmp_path / "out", DataSettings(**settings))
    assert not (tmp_path / "out").exists()


def test_every_dataset_has_a_source():
    only_to_test_on = {"imagenet2012_val"}
    assert set(sources.SOURCES) == set(sources.OFFERED) | only_to_test_on
