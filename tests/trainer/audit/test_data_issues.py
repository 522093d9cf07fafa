"""Data issues that are planted in a folder, counted."""

import io
import itertools
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter
from sklearn.datasets import load_sample_images

from tests.conftest import HOSTILE
from trainer.audit import data_issues, noise_estimation
from trainer.audit.data_issues import classes, duplicates, find, neighbours, noise_table, pixels
from trainer.audit.evidence import Evidence
from trainer.data import records
from trainer.report import data_issues as report
from trainer.report import page
from trainer.settings.data import DataSettings

CLASSES = ("apple", "pear", "quince")
COUNTS = {"photos": 30, "trusted": 4, "test": 6}
SIDE, D = 96, 24


def photo(rng, size=(SIDE, SIDE)):
    """A picture like no other: coarse shapes with texture."""
    coarse = Image.fromarray(rng.integers(256, size=(5, 5, 3)).astype(np.uint8))
    pixels = np.asarray(coarse.resize(size, Image.BICUBIC), float)
    noise = rng.normal(scale=25, size=(size[1], size[0], 1))
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A folder of photos, one trusted, one test, and the names of planted files by issue."""
    root, rng = tmp_path_factory.mktemp("planted"), np.random.default_rng(0)
    for part, count in COUNTS.items():
        for name in CLASSES:
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                photo(rng).save(root / part / name / f"{name} {part} {number}.jpg", quality=92)
    photos = root / "photos"
    shutil.copy(photos / "apple" / "apple photos 0.jpg", photos / "pear" / "exact.jpg")
    shutil.copy(photos / "apple" / "apple photos 1.jpg", photos / "apple" / "again.jpg")
    copies = {
        "relabelled": ("photos", "pear", "pear photos 2"),
        "resized": ("photos", "quince", "quince photos 3"),
        "of test": ("test", "quince", "quince test 1"),
        "of trusted": ("trusted", "quince", "quince trusted 1"),
    }
    for name, (part, folder, file) in copies.items():
        image = Image.open(root / part / folder / f"{file}.jpg")
        image = image.resize((SIDE - 16, SIDE - 16)) if name == "resized" else image
        image.save(photos / "quince" / f"{name}.jpg", quality=60)
    odd = {
        "dark": photo(rng).point(lambda value: value * 0.1),
        "light": photo(rng).point(lambda value: 255 - (255 - value) * 0.03),
        "blurry": photo(rng).filter(ImageFilter.GaussianBlur(4)),
        "low_information": Image.new("RGB", (SIDE, SIDE), (150, 120, 90)),
        "odd_size": photo(rng, (500, 500)),
        "odd_aspect_ratio": photo(rng, (200, 50)),
        "off_topic": photo(rng),
        "off_topic too": photo(rng),
    }
    for name, image in odd.items():
        image.save(photos / "apple" / f"{name}.png")
    return root


@pytest.fixture(scope="module")
def prepared(planted, tmp_path_factory):
    path = tmp_path_factory.mktemp("prepared") / "data"
    folders = {part: str(planted / part) for part in ("trusted", "test")}
    records.prepare("image_folder", path, DataSettings(data=str(planted / "photos"), **folders))
    return path


def evidence_of(labels, tested, ids):
    """Predictions that agree with the labels."""
    one_hot = 0.9 * np.eye(3) + 0.1 / 3
    return Evidence(one_hot[labels[ids]], [], "nobody", tested=one_hot[tested])


def found_in(path, embeddings_path=None):
    labels, tested = (records.read_labels(path, split) for split in ("train", "test"))
    ids = np.setdiff1d(np.arange(len(labels)), records.read_trusted_ids(path))
    evidence = evidence_of(labels, tested, ids)
    return find.find(path, labels, ids, evidence, embeddings_path)


@pytest.fixture(scope="module")
def embedded(prepared, tmp_path_factory):
    """Embeddings near a direction of each class, those of files off topic near another one."""
    root, rng = tmp_path_factory.mktemp("embeddings"), np.random.default_rng(2)
    for split in ("train", "test"):
        directions = records.read_labels(prepared, split)
        off = ["off_topic" in path for path in records.read_paths(prepared, split)]
        noise = rng.uniform(-0.6, 0.6, size=(len(off), D))
        rows = 3 * np.eye(D)[np.where(off, 5, directions)] + noise
        np.save(root / f"{split}.npy", rows[:, np.newaxis].astype(np.float16))
    return root


@pytest.fixture(scope="module")
def found(prepared, embedded):
    return found_in(prepared, embedded)


def files(table, issue):
    """Names of the files that have an issue."""
    return {path.split("/")[-1] for path in table.path[table[f"is_{issue}_issue"] == 1]}


@pytest.mark.parametrize(
    ("issue", "names"),
    [
        (
            "exact_duplicates",
            {"exact.jpg", "apple photos 0.jpg", "again.jpg", "apple photos 1.jpg"},
        ),
        (
            "label_conflict",
            {"exact.jpg", "apple photos 0.jpg", "relabelled.jpg", "pear photos 2.jpg"},
        ),
        (
            "leakage",
            {"of test.jpg", "quince test 1.jpg", "of trusted.jpg", "quince trusted 1.jpg"},
        ),
        (
            "near_duplicate",
            {
                *("exact.jpg", "apple photos 0.jpg", "again.jpg", "apple photos 1.jpg"),
                *("relabelled.jpg", "pear photos 2.jpg", "resized.jpg", "quince photos 3.jpg"),
                *("of test.jpg", "quince test 1.jpg", "of trusted.jpg", "quince trusted 1.jpg"),
            },
        ),
        ("dark", {"dark.png"}),
        ("light", {"light.png"}),
        ("low_information", {"low_information.png"}),
        ("odd_aspect_ratio", {"odd_aspect_ratio.png"}),
        ("off_topic", {"off_topic.png", "off_topic too.png"}),
        ("class_imbalance", set()),
    ],
)
def test_what_is_planted_is_found_and_nothing_else(found, issue, names):
    table, _ = found
    assert files(table, issue) == names


def test_blurred_images_and_odd_sizes(found):
    table, _ = found
    assert files(table, "blurry") == {"blurry.png", "odd_size.png"}  # that one is enlarged
    # All that are not of the one size of the others.
    assert files(table, "odd_size") == {"odd_size.png", "odd_aspect_ratio.png", "resized.jpg"}


@pytest.mark.parametrize(("radius", "least", "most"), [(0, 0, 0), (3, 0.4, 1), (8, 0.7, 1)])
def test_blurred_photographs(radius, least, most):
    """Crops of photographs; some of the sky, without edges, count as drawings."""
    rows, properties = [], pixels.new_manager().image_properties
    places = itertools.product(load_sample_images().images, range(0, 440, 110), (0, 110, 220))
    for picture, x, y in places:
        file, part = io.BytesIO(), Image.fromarray(picture[y : y + 200, x : x + 200])
        part.filter(ImageFilter.GaussianBlur(radius)).save(file, "JPEG")
        rows.append(pixels.measure_image(file.getvalue(), properties, 3)[0])
    flagged = pixels.find(pd.DataFrame(rows)).is_blurry_issue.mean()
    assert least <= flagged <= most


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (300, 2), (3, 3)])
def test_edges_of_the_smallest_images(size):
    assert pixels.deviation_of_edges(Image.new("RGB", size, (9, 99, 199))) == 0


def test_images_in_which_nothing_is_seen_are_no_copies(tmp_path, rng):
    """But the same file under several labels is."""
    night = photo(rng).point(lambda value: value // 9)
    for place, name in enumerate(CLASSES):
        for part, count in (("photos", 10), ("test", 2)):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                photo(rng).save(folder / f"{name} {part} {number}.jpg")
        folder = tmp_path / "photos" / name
        Image.new("RGB", (SIDE, SIDE), (place, 3, 3)).save(folder / f"black {name}.png")
        Image.new("RGB", (SIDE, SIDE), (250, 250, 250 + place)).save(folder / f"white {name}.png")
        night.save(folder / "night.png")
    files_of = DataSettings(data=str(tmp_path / "photos"), test=str(tmp_path / "test"))
    records.prepare("image_folder", tmp_path / "data", files_of)
    table, _ = found_in(tmp_path / "data")
    assert files(table, "light") == {f"white {name}.png" for name in CLASSES}
    assert files(table, "dark") == {"night.png", *(f"black {name}.png" for name in CLASSES)}
    for issue in ("label_conflict", "exact_duplicates"):
        assert files(table, issue) == {"night.png"}
    assert (table.label_conflict_score[table.is_label_conflict_issue == 1] == 0).all()


def test_all_images_have_a_row_with_the_columns_of_datalab(found, prepared):
    table, facts = found
    sizes = records.read_manifest(prepared)["num_examples"]
    assert list(table.split) == ["train"] * sizes["train"] + ["test"] * sizes["test"]
    assert list(table.id) == list(range(sum(sizes.values())))
    assert table.trusted.sum() == COUNTS["trusted"] * 3
    flags = [f"is_{issue}_issue" for issue in data_issues.ISSUE_TYPES]
    scores = [f"{issue}_score" for issue in data_issues.ISSUE_TYPES]
    assert set(table) == {*data_issues.COLUMNS, *flags, *scores}
    assert table[flags].isin([0, 1]).all(axis=None)
    assert table[scores].min(axis=None) >= 0
    assert table[scores].max(axis=None) <= 1
    copies = table[table.duplicate_set >= 0]
    assert (copies.groupby("duplicate_set").size() == 2).all()
    assert (copies.is_near_duplicate_issue == 1).all()
    assert facts["notes"] == []


def test_a_run_from_scratch_finds_the_same_copies_and_says_what_is_missing(found, prepared):
    table, facts = found_in(prepared)
    assert facts["notes"] == [find.NO_BACKBONE]
    assert facts["seen"] == find.SHAPES
    for issue in ("near_duplicate", "label_conflict", "leakage", "dark"):
        assert files(table, issue) == files(found[0], issue)
    assert "is_off_topic_issue" not in table


def test_tables_of_files(found, tmp_path):
    table, _ = found
    find.write(tmp_path, table, [*HOSTILE, "=1"])
    rows = pd.read_csv(tmp_path / data_issues.ISSUES)
    every = pd.read_parquet(tmp_path / data_issues.TABLE)
    assert list(rows) == list(every)
    assert len(every) == len(table)
    flags = rows.filter(regex="^is_.*_issue$").sum(axis=1)
    assert flags.min() == 1
    assert flags.is_monotonic_decreasing
    assert set(rows.given_label) <= {*HOSTILE, "=1"}
    assert set(rows.id) == set(every.id[every.filter(regex="^is_.*_issue$").any(axis=1)])


def test_nothing_is_found_where_nothing_is(tmp_path):
    rng = np.random.default_rng(3)
    for name in CLASSES:
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(12):
            photo(rng).save(tmp_path / "photos" / name / f"{number}.jpg", quality=92)
    records.prepare("image_folder", tmp_path / "a", DataSettings(data=str(tmp_path / "photos")))
    labels, tested = (records.read_labels(tmp_path / "a", split) for split in ("train", "test"))
    ids = np.arange(len(labels))
    table, facts = find.find(tmp_path / "a", labels, ids, evidence_of(labels, tested, ids))
    assert not table.filter(regex="^is_.*_issue$").any(axis=None)
    assert facts["confused_classes"] == []
    find.write(tmp_path, table, list(CLASSES))
    assert len(pd.read_csv(tmp_path / data_issues.ISSUES)) == 0


def test_sets_of_copies_by_hand():
    digests = pd.Series(["a", "b", "a", "c", "b", "a"])
    issues, pairs = duplicates.same_content(digests)
    assert list(issues.is_exact_duplicates_issue) == [True, True, True, False, True, True]
    np.testing.assert_allclose(issues.exact_duplicates_score, [1 / 3, 0.5, 1 / 3, 1, 0.5, 1 / 3])
    sets = duplicates.sets_of(np.concatenate([pairs, [[1, 3]]]), 6)
    assert list(sets) == [0, 1, 0, 1, 1, 0]
    assert list(duplicates.sets_of(np.zeros((0, 2), int), 2)) == [-1, -1]
    found = duplicates.differences(
        sets, np.array([0, 1, 0, 1, 2, 0]), pd.Series([*"TTTTT", "P"]), np.full(6, 0.25)
    )
    assert list(found.is_label_conflict_issue) == [False, True, False, True, True, False]
    assert list(found.is_leakage_issue) == [True, False, True, False, False, True]
    assert list(found.label_conflict_score) == [1, 0.25, 1, 0.25, 0.25, 1]


def test_neighbours_as_datalab_has_them(rng):
    from cleanlab.internal.neighbor.knn_graph import create_knn_graph_and_index

    X = rng.normal(size=(60, 8))
    ours = neighbours.neighbour_graph(X)
    theirs, _ = create_knn_graph_and_index(X, n_neighbors=10, metric="cosine")
    np.testing.assert_array_equal(ours.indices, theirs.indices)
    np.testing.assert_allclose(ours.data, theirs.data, atol=1e-6)


def test_the_features_of_many_images_are_reduced(rng, monkeypatch):
    X = rng.normal(size=(200, 12)) @ rng.normal(size=(12, 40))
    X[150:] = X[:50]
    whole = neighbours.neighbour_graph(X)
    monkeypatch.setattr(neighbours, "LARGE", 100)
    monkeypatch.setattr(neighbours, "COMPONENTS", 12)
    reduced = neighbours.neighbour_graph(X)
    np.testing.assert_allclose(reduced.data, whole.data, atol=1e-3)
    _, pairs = neighbours.near_duplicates(reduced, find.ALIKE)
    expected = {(i, i + 150) for i in range(50)} | {(i + 150, i) for i in range(50)}
    assert {tuple(pair) for pair in pairs.tolist()} == expected


def test_a_group_with_wrong_labels_and_a_rare_class(rng):
    centres = rng.normal(size=(4, D))
    group = np.repeat(np.arange(4), 60)
    X, true = centres[group] + rng.normal(size=(240, D)) / 20, group // 2
    labels = np.where(group == 3, 0, true)
    P = (0.9 * np.eye(2) + 0.05)[true]
    issues, groups = classes.weak_groups(X, labels, P)
    weak = issues.is_underperforming_group_issue.to_numpy()
    np.testing.assert_array_equal(weak, group == 3)
    assert len(set(groups)) == 4
    rare = classes.imbalance(np.array([0] * 99 + [1]), ["a", "b"])
    assert list(np.flatnonzero(rare.is_class_imbalance_issue)) == [99]


def test_classes_that_are_confused_as_wholes(rng):
    true = rng.integers(6, size=3000)
    P = (0.94 * np.eye(6) + 0.01)[true]
    given = np.where((true == 2) & (rng.random(3000) < 0.4), 4, true)
    (pair,) = classes.confused_classes(P, given, [*"abcdef"])
    assert pair["classes"] == ["c", "e"]
    assert pair["images"] == pytest.approx((given != true).sum(), rel=0.1)
    assert classes.confused_classes(P, true, [*"abcdef"]) == []


def test_noise_rates_of_classes_and_pairs(rng, tmp_path):
    true = rng.integers(3, size=2000)
    P = (0.94 * np.eye(4)[:3] + 0.015)[true]
    given = np.where((true == 0) & (rng.random(2000) < 0.3), 1, true)
    given[:5] = 3
    rates = noise_estimation.noise_rates(P, given)
    names = ["a", "=b", "</td>", "nan"]
    noise_table.write(tmp_path, rates, given, names)
    of_class, of_pair = noise_table.read(tmp_path)
    assert list(of_class.given_label) == names
    assert list(of_class.thin_evidence) == [0, 0, 0, 1]
    wrong = np.mean(true[given == 1] != 1)
    row = of_class.set_index("given_label").loc["=b"]
    assert row.low <= wrong <= row.high
    assert row.noise_rate == pytest.approx(wrong, abs=0.03)
    first = of_pair.iloc[0]
    assert (first.given_label, first.true_label) == ("=b", "a")
    assert first.low <= wrong <= first.high
    overall = noise_estimation.noise_rate_range(P, given)
    np.testing.assert_array_equal(rates.overall, overall)


def test_the_tables_of_a_run_and_its_page(hostile_run):
    audit = hostile_run / "label_audit"
    table, rates = pd.read_parquet(audit / data_issues.TABLE), noise_table.read(audit)
    assert len(table) == 24
    assert set(table.given_label) == set(rates[0].given_label) == set(HOSTILE)
    assert "data_issues" in json.loads((audit / "manifest.json").read_text())
    made = (hostile_run / "report.html").read_text()
    _, section = made.split('<h2 id="data-issues">')
    section = section.split("<h2>")[0]
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in section
    assert "<script>" not in section
    assert "<strong>The evidence is thin</strong>" in section
    assert find.NO_BACKBONE.replace("'", "&#39;") in section


def section_of(prepared, directory, table, facts):
    labels = records.read_labels(prepared, "train")
    rates = noise_estimation.noise_rates((0.9 * np.eye(3) + 0.1 / 3)[labels], labels)
    find.write(directory, table, list(CLASSES))
    noise_table.write(directory, rates, labels, list(CLASSES))
    return report.section(prepared, directory, facts)


def test_the_page_shows_what_is_found_and_says_what_is_not(found, prepared, tmp_path):
    table, facts = found
    content = section_of(prepared, tmp_path, table, facts)
    shown = {issue["name"]: issue for issue in content["found"]}
    assert content["nothing"] == ["underperforming group", "class imbalance"]
    assert len(shown) + 2 == len(data_issues.ISSUE_TYPES)
    assert (shown["leakage"]["count"], shown["leakage"]["sets"]) == (4, 2)
    pairs = [sorted(card["part"] for card in row) for row in shown["leakage"]["rows"]]
    assert sorted(pairs) == [["test", "train"], ["train", "trusted"]]
    (row,) = shown["dark"]["rows"]
    assert [card["file"] for card in row] == ["dark.png"]
    template = page.TEMPLATES.get_template("data_issues.html.jinja").module
    made = template.data_issues(content)
    assert made.count("<details") == len(shown) + 1
    assert "<summary>label conflict: 4 images" in made
    assert "Nothing is found of: underperforming group, class imbalance." in made


def test_the_page_says_where_nothing_is_found(found, prepared, tmp_path):
    table, facts = found
    flags = list(table.filter(regex="^is_.*_issue$"))
    content = section_of(prepared, tmp_path, table.assign(**dict.fromkeys(flags, 0)), facts)
    made = page.TEMPLATES.get_template("data_issues.html.jinja").module.data_issues(content)
    assert f"No issue is found in {len(table)} images" in " ".join(made.split())
    assert "No two classes stand out as confused" in made
