"""Users' tables of labels: read correctly, or refused in one line."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from trainer.data import records
from trainer.data.sources import annotators, tables
from trainer.errors import InputError
from trainer.settings.data import DataSettings

CLASSES = ("cat", "dog", "fish")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """18 images, images/0.png to images/17.png."""
    root = tmp_path_factory.mktemp("tables")
    (root / "images").mkdir()
    for i in range(18):
        pixels = np.random.default_rng(i).integers(256, size=(9, 9, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{i}.png")
    return root


ROWS = [(f"images/{i}.png", CLASSES[i % 3]) for i in range(18)]
LINES = ["path,label", *(",".join(row) for row in ROWS)]


def encoded(lines, encoding="utf-8", end="\n"):
    return (end.join(lines) + end).encode(encoding)


def table_of(columns, *values):
    """CSV of the rows with further columns of these functions of (i, path, label)."""
    rows = [(*row, *(str(value(i, *row)) for value in values)) for i, row in enumerate(ROWS)]
    return encoded([columns, *(",".join(row) for row in rows)])


def json_of(name, value=None):
    """The rows as objects, one on each line, with another entry."""
    value = value or (lambda i, label: label)
    objects = [
        {"path": p, "label": label} | {name: value(i, label)} for i, (p, label) in enumerate(ROWS)
    ]
    return [json.dumps(row) for row in objects]


def prepared(root, tmp_path, name, content, **settings):
    """The manifest of what is prepared from a table beside the images, and the files by label."""
    (root / name).write_bytes(content)
    written = records.prepare(
        "csv", tmp_path / "a", DataSettings(data=str(root / name), **settings)
    )
    found = {}
    for split in ("train", "test"):
        labels = records.read_labels(tmp_path / "a", split)
        paths = [Path(path).name for path in records.read_paths(tmp_path / "a", split)]
        found |= {p: written["class_names"][label] for p, label in zip(paths, labels)}
    return written, found


def case(name, content, **settings):
    return pytest.param(name, content, settings, id=f"{name} {content[:20]} {settings}")


@pytest.mark.parametrize(
    ("name", "content", "settings"),
    [
        case("plain.csv", encoded(LINES)),
        case("excel.csv", encoded(LINES, "utf-8-sig", "\r\n")),
        case("utf16.csv", encoded(LINES, "utf-16")),
        case("semicolon.csv", encoded([line.replace(",", ";") for line in LINES])),
        case("tab.tsv", encoded([line.replace(",", "\t") for line in LINES])),
        case("bar.txt", encoded([line.replace(",", " | ") for line in LINES])),
        case("spaces.csv", encoded([line.replace(",", " , ") for line in LINES])),
        case("quoted.csv", encoded(['"path", "label"', *(f'"{p}", "{x}"' for p, x in ROWS)])),
        case("comma at the end.csv", encoded([LINES[0], *(f"{line}," for line in LINES[1:])])),
        case("commas at the end.csv", encoded([f"{line},," for line in LINES])),
        case("blank lines.csv", encoded(["", *LINES[:4], "", ",", *LINES[4:], ""])),
        case("index.csv", pd.DataFrame(ROWS, columns=["path", "label"]).to_csv().encode()),
        case("upper.csv", encoded(["Path,LABEL", *LINES[1:]])),
        case("names.csv", encoded(["path,class", *LINES[1:]]), label_column="class"),
        case("macintosh.csv", encoded(LINES, end="\r")),
        case("windows.csv", encoded([line.replace("/", "\\") for line in LINES])),
        case("dots.csv", encoded([LINES[0], *(f"./images/../{line}" for line in LINES[1:])])),
        case("urls.csv", encoded([LINES[0], *(f"file://%69mages{x[6:]}" for x in LINES[1:])])),
        case("text.csv", table_of("path,label,note", lambda i, *_: '"two\nlines, ""one"" cell"')),
        case("lines.jsonl", encoded(json_of("note"))),
        case("lines.json", encoded(json_of("note"))),
        case("array.json", encoded(["[", ",\n".join(json_of("boxes", lambda *_: [1, 2])), "]"])),
        case("half.jsonl", encoded([json_of("a")[0], *json_of("b")[1:], ""])),
        case("twice.csv", encoded([*LINES, LINES[3], LINES[3].replace("images", "./images")])),
    ],
)
def test_tables_that_are_read(root, tmp_path, name, content, settings):
    written, found = prepared(root, tmp_path, name, content, **settings)
    assert written["class_names"] == CLASSES
    assert found == {Path(path).name: label for path, label in ROWS}


def test_a_name_that_ends_in_a_space(root, tmp_path):
    (root / "images" / "last.png ").write_bytes((root / "images" / "0.png").read_bytes() + b" ")
    _, found = prepared(root, tmp_path, "t.csv", encoded([*LINES, "images/last.png ,cat"]))
    assert found["last.png "] == "cat"
    assert len(found) == len(ROWS) + 1


def zipped(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("plain.csv", content)
    return file.getvalue()


MORE = "must have 2 values in each row, as in its header; it has 3.* Received: 'line 7 of"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "must have a column path; it has none"),
        ("header.csv", b"path,label\n", "must have rows below the header"),
        ("no header.csv", encoded(LINES[1:]), "must have a column path; it has images/0.png, cat"),
        ("a note.csv", encoded(["# by hand", *LINES]), "must have a column path; it has # by hand"),
        ("names.csv", encoded(["file,label", *LINES[1:]]), "must have a column path; it has file"),
        ("twice.csv", table_of("path,label,label", lambda *_: "x"), "must have one column label"),
        ("comma.csv", encoded([*LINES[:6], LINES[6] + ", small"]), MORE),
        ("quote.csv", encoded([*LINES[:6], 'images/5.png,"dog']), "must be CSV whose quotes are"),
        ("short.csv", encoded([*LINES, "images/3.png"]), "must have path and label in each row"),
        ("urls.csv", encoded([LINES[0], "https://a.org/1.png,cat"]), "download these"),
        ("latin.csv", encoded([*LINES, "images/1.png,bär"], "latin-1"), "must be text in UTF-8"),
        ("zip.csv", zipped(encoded(LINES)), "this is a zip archive or an Excel workbook"),
        ("book.xlsx", zipped(encoded(LINES)), "this is a zip archive or an Excel workbook"),
        ("nothing.jsonl", encoded(json_of("label", lambda i, x: x if i else None)), "row 1 of"),
        ("nobody sees.csv", encoded([*LINES, "images/3.png,\u200b"]), "must have path and label"),
        ("excel.csv", encoded([*LINES, "images/3.png,#REF!"]), "1 have a word for none.*#REF! in"),
        ("words.csv", encoded([*LINES, "images/3.png,nan"]), "1 have a word for none.*nan in row"),
        ("lists.jsonl", encoded(json_of("label", lambda i, x: [x])), "must have one value in each"),
        ("numbers.json", b"[1, 2]", "must be JSON lines or a JSON array, of objects"),
        ("broken.jsonl", encoded([json_of("a")[0][:-1]]), "must be JSON lines .*line 1 of"),
        (
            "twice.jsonl",
            encoded([row[:-1] + ', "label": "dog"}' for row in json_of("a")]),
            "must be JSON lines .*one has label twice.*line 1 of",
        ),
        ("broken.json", b'[{"path": "a"', "must be JSON lines or a JSON array"),
        ("deep.json", b"[" * 100_000, "must be JSON lines or a JSON array"),
        (
            "half a pair.json",
            encoded(json_of("label", lambda *_: "\ud800")),
            "must be text in UTF-8",
        ),
        ("flag.csv", table_of("path,label,trusted", lambda *_: "maybe"), "column trusted: must be"),
        ("split.csv", table_of("path,label,split", lambda *_: "a"), "must be train or test or val"),
    ],
)
def test_tables_that_are_refused(root, tmp_path, name, content, message):
    with pytest.raises(InputError, match=message) as error:
        prepared(root, tmp_path, name, content)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "a").exists()


def test_a_directory_is_no_table(root, tmp_path):
    with pytest.raises(InputError, match="--dataset=image_folder takes a directory"):
        records.prepare("csv", tmp_path / "a", DataSettings(data=str(root)))


ALIKE = {
    "case": ("Cat", "cat"),
    "words": ("tabby-cat", "tabby cat"),
    "width": ("ｃａｔ", "cat"),
    "zeros": ("01", "1"),
    "nothing seen": ("cat\u200b", "cat"),
    "digits": ("1.50", "1.5"),
}


@pytest.mark.parametrize("names", ALIKE.values(), ids=ALIKE)
def test_names_that_look_alike(root, tmp_path, names):
    label = [names[i % 6 > 1] if i % 2 else "dog" for i in range(18)]
    content = encoded([LINES[0], *(f"images/{i}.png,{label[i]}" for i in range(18))])
    few, many = (label.count(name) for name in names)
    with pytest.raises(InputError, match="--label_case=join makes these one class") as error:
        prepared(root, tmp_path, "t.csv", content)
    assert f"{names[0]!r}"[1:-1] + f" ({few})" in str(error.value)
    assert f"{names[1]} ({many})" in str(error.value)
    written, _ = prepared(root, tmp_path, "t.csv", content, label_case="join")
    assert set(written["class_names"]) == {"dog", names[1]}
    written, _ = prepared(root, tmp_path, "t.csv", content, label_case="keep")
    assert set(written["class_names"]) == {"dog", *names}


@pytest.mark.parametrize(
    "names", [("1", "1.0"), ("cat", "cat "), ("b\u00e4r", "ba\u0308r")], ids=["1", "cat", "bär"]
)
def test_names_that_are_the_same(root, tmp_path, names):
    label = [names[i % 6 > 1] if i % 2 else "-1" for i in range(18)]
    content = encoded([LINES[0], *(f"images/{i}.png,{label[i]}" for i in range(18))])
    written, _ = prepared(root, tmp_path, "t.csv", content)
    assert written["class_names"] == ("-1", names[0])


def test_names_that_only_seem_alike(root, tmp_path):
    names = ("A", "A-", "A+", "1", "-1", "1.1")
    content = encoded([LINES[0], *(f"images/{i}.png,{names[i % 6]}" for i in range(18))])
    with pytest.raises(
        InputError,
        match=r"a fifth of two classes or more cannot be held out.*class -1 has 3, class 1 has 3",
    ):
        prepared(root, tmp_path, "t.csv", content)


def test_classes_are_in_natural_order(root, tmp_path):
    names = ("10", "2", "item 10", "item 9", "-3", "0.5")
    rows = [f"images/{i}.png,{names[i % 6]},{'test' if i < 6 else 'train'}" for i in range(18)]
    written, _ = prepared(root, tmp_path, "t.csv", encoded(["path,label,split", *rows]))
    assert written["class_names"] == ("-3", "0.5", "2", "10", "item 9", "item 10")


def votes(*opinions):
    """A table of three people's labels of each image; a function gives the label of each."""
    rows = [(p, say(label), str(a)) for p, label in ROWS for a, say in enumerate(opinions)]
    return encoded(["path,label,who", *(",".join(row) for row in rows)])


def right(label):
    return label


def always_dog(label):
    return "dog"


def test_annotators_are_joined(root, tmp_path, capsys):
    content = votes(right, always_dog, right)
    with pytest.raises(
        InputError, match=r"--annotator_column.* 12 such images.*0.png with cat and"
    ):
        prepared(root, tmp_path, "t.csv", content)
    written, found = prepared(root, tmp_path, "t.csv", content, annotator_column="who")
    assert found == {Path(path).name: label for path, label in ROWS}
    assert (written["images_of_several_annotators"], written["disputed_images"]) == (18, 12)
    assert written["annotators_joined_by"] == "CROWDLAB"
    said = "18 images have labels of several annotators, who disagree on 12; they are joined by CRO"
    assert said in capsys.readouterr().out


def labelled(seed=0):
    """200 images with true labels, and labels of three good and three careless annotators."""
    rng = np.random.default_rng(seed)
    true, rows = rng.integers(3, size=200), []
    for who, skill in enumerate((0.95, 0.9, 0.9, 0.2, 0.2, 0.2)):
        guessed = rng.integers(3, size=200)
        said = np.where(rng.random(200) < skill, true, guessed)
        rows += [(f"{i}.png", said[i], f"{who}") for i in range(200) if rng.random() < 0.6]
    files = pd.DataFrame(rows, columns=["path", "label", "annotator"]).astype({"label": "str"})
    return files.assign(clean_label="", test=False, trusted=False), true


def share_right(files, true):
    at = files.path.str.removesuffix(".png").astype(int)
    return np.mean(files.label.astype(int) == true[at])


def test_good_annotators_count_for_more(monkeypatch):
    files, true = labelled()
    joined, facts = annotators.one_row_per_image(files, "who")
    again, _ = annotators.one_row_per_image(files, "who")
    pd.testing.assert_frame_equal(joined, again)
    assert joined.path.is_unique
    monkeypatch.setattr(annotators, "MOST_CELLS", 100)
    by_majority, others = annotators.one_row_per_image(files, "who")
    assert facts["annotators_joined_by"] == "CROWDLAB"
    assert others["annotators_joined_by"].startswith("majority vote")
    assert share_right(joined, true) > share_right(by_majority, true) + 0.05


def test_ties_go_to_the_class_of_most_rows(monkeypatch):
    rows = [("0", "cat", "a"), ("0", "dog", "b"), ("1", "dog", "a"), ("1", "dog", "b")]
    files = pd.DataFrame(rows, columns=["path", "label", "annotator"])
    files = files.assign(clean_label="", test=False, trusted=False)
    monkeypatch.setattr(annotators, "MOST_CELLS", 0)
    joined, _ = annotators.one_row_per_image(files, "who")
    assert list(joined.label) == ["dog", "dog"]


def test_an_annotator_gives_an_image_one_label(root, tmp_path):
    content = votes(right) + b"images/0.png,dog,0\n"
    with pytest.raises(InputError, match="must name in column who who gave each label, once"):
        prepared(root, tmp_path, "t.csv", content, annotator_column="who")
    with pytest.raises(InputError, match=r"must have a column whom \(--annotator_column\)"):
        prepared(root, tmp_path, "t.csv", content, annotator_column="whom")


def test_one_image_has_one_truth(root, tmp_path):
    content = table_of("path,label,truth", lambda i, path, label: label)
    content += b"images/0.png,cat,dog\n"
    with pytest.raises(InputError, match="must have one true label for each image"):
        prepared(root, tmp_path, "t.csv", content, clean_label_column="truth")


def test_repeated_rows_are_counted(root, tmp_path, capsys):
    written, found = prepared(root, tmp_path, "t.csv", encoded([*LINES, *LINES[3:5]]))
    assert (written["repeated_rows"], len(found)) == (2, 18)
    assert "2 rows repeat an image" in capsys.readouterr().out


SPLIT = {"Train": "train", "TESTING": "test", "Val": "validation"}


def test_splits_of_any_spelling(root, tmp_path, capsys):
    content = table_of("path,label,split", lambda i, *_: list(SPLIT)[i // 3 % 3])
    written, _ = prepared(root, tmp_path, "t.csv", content)
    assert written["num_examples"] == {"train": 6, "test": 6}
    assert written["left_out"] == 6
    assert "is of split validation" in (tmp_path / "a" / "left_out.csv").read_text()
    content = content.replace(b"TESTING", b"train")
    written, _ = prepared(root, tmp_path, "t.csv", content)
    assert (written["num_examples"], written["left_out"]) == ({"train": 12, "test": 6}, 0)
    assert "images of split validation are tested on" in capsys.readouterr().out


def test_labels_held_out_unseen_stay_noisy(root, tmp_path):
    content = table_of(
        "path,label,split,label_status",
        lambda i, *_: "test" if i < 6 else "train",
        lambda i, *_: tables.NOISY if i < 6 else "audited",
    )
    written, _ = prepared(root, tmp_path, "t.csv", content)
    assert not written["test_labels_are_clean"]
    written, _ = prepared(root, tmp_path, "t.csv", content.replace(b"noisy", b"clean"))
    assert written["test_labels_are_clean"]


def test_a_note_names_unused_columns(root, tmp_path, capsys):
    content = table_of("path,label,is_test,score", lambda i, *_: i % 2, lambda i, *_: i)
    prepared(root, tmp_path, "t.csv", content)
    assert "these columns of t.csv are not used: is_test, score\n" in capsys.readouterr().out


def test_a_note_counts_trusted_images_that_are_tested_on(root, tmp_path, capsys):
    content = table_of(
        "path,label,trusted,split",
        lambda i, *_: int(i < 6),
        lambda i, *_: "test" if i < 3 or i >= len(ROWS) - 3 else "train",
    )
    prepared(root, tmp_path, "t.csv", content)
    said = "note: 3 trusted images are tested on, and so are not in the probe"
    assert said in capsys.readouterr().out
