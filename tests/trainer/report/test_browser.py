"""The reports in a real browser, without a network."""

import csv
import dataclasses
import json
import os
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import HOSTILE
from trainer import artifacts
from trainer.audit import for_review, kept_labels, label_issues
from trainer.data import records
from trainer.report import budget, classes, gallery, page

pytestmark = pytest.mark.browser
WIDTHS, SCHEMES = (390, 1280), ("light", "dark")
LISTS = ("found", "nothing", "notes", "confused", "noise", "pairs", "annotators", "thin")
RATES = {f"audit/noise_rate_{end}": r for end, r in zip(kept_labels.ENDS, (0.3, 0.2, 0.4))}
NO_DATA_ISSUES = {name: () for name in LISTS} | {"images": 0, "flagged": 0, "seen": "pixels"}
OUTSIDE_FILES = "net::ERR_FILE_NOT_FOUND"  # the browser's word for an image that is not there


@pytest.fixture(scope="module")
def chromium():
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        lacking = pytest.fail if os.environ.get("CI") else pytest.skip
        lacking("needs Chromium")
    flags = ["--no-sandbox", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


@dataclasses.dataclass
class Opened:
    """A page in the browser, and all that it complained about or asked for."""

    page: object
    complaints: list
    requests: list

    def cards(self):
        return self.page.locator("#cards > li:not(.line)")

    def labels(self):
        """Given and suggested label of each card that is shown."""
        texts = self.page.locator("#cards .labels").all_inner_texts()
        return [tuple(text.split(" → ")) for text in texts]

    def scores(self):
        texts = self.page.locator("#cards .score").all_inner_texts()
        return [float(text.removeprefix("label score ")) for text in texts]

    def decided(self):
        return self.page.locator("#cards .decided").all_inner_texts()

    def said(self):
        return self.page.locator("#said").inner_text()

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def begin(self):
        """Goes to the first card."""
        self.cards().first.focus()

    def current(self):
        """Place of the card that has the focus."""
        return self.cards().evaluate_all("cards => cards.indexOf(document.activeElement)")

    def saved(self):
        """The rows of decisions.csv."""
        with self.page.expect_download() as download:
            self.page.click("#save-decisions")
        assert download.value.suggested_filename == "decisions.csv"
        with open(download.value.path(), newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def load(self, file):
        self.page.evaluate("document.getElementById('said').textContent = ''")
        self.page.set_input_files("#load-decisions", file)
        self.until("document.getElementById('said').textContent.includes('oaded')")
        return self.said()

    def until(self, condition):
        """Waits; the library's own waiting is a string that the page's policy forbids."""
        for _ in range(100):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(condition)


@pytest.fixture
def opened(chromium):
    """A function that opens a file, in a browser of its own unless given that of another page."""
    contexts = []

    def open_file(file, width=1280, scheme="light", beside=None):
        context = beside and beside.page.context
        if not context:
            view = {"width": width, "height": 800}
            context = chromium.new_context(viewport=view, color_scheme=scheme, offline=True)
            contexts.append(context)
        found = Opened(context.new_page(), [], [])
        found.page.on("console", lambda message: found.complaints.append(message.text))
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.on("dialog", lambda dialog: found.complaints.append(dialog.message))
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.goto(file.as_uri())
        found.page.wait_for_load_state("load")
        return found

    yield open_file
    for context in contexts:
        context.close()


@pytest.fixture
def issues(hostile_run):
    return pd.read_parquet(hostile_run / "label_audit" / label_issues.TABLE)


@pytest.fixture
def made_report(digits, tmp_path, monkeypatch):
    """A function that makes the page of many labels, with the same few pictures."""
    encoded = records.EncodedImages(digits, "train")
    monkeypatch.setattr(records, "read_encoded", lambda _, ids: encoded[ids % len(encoded)])

    def make(N, names):
        C, rng = len(names), np.random.default_rng(0)
        given = rng.integers(C, size=N)
        suggested = (given + rng.integers(1, C, size=N)) % C
        score, ids = np.linspace(0, 1, N), rng.permutation(N)
        issues = pd.DataFrame({"id": ids, "given_label": given, "suggested_label": suggested})
        issues = issues.assign(label_score=score, p_suggested=0.9 * (1 - score))
        trusted = np.arange(10 * C), np.arange(10 * C) % C
        P, features = rng.dirichlet(np.full(C, 0.05), N), rng.normal(size=(max(N, 10 * C), 8))
        for_review.write(tmp_path, for_review.gather(P, issues, trusted, features))
        issues = issues.assign(
            path=[f"/photos/{id:06d}.jpg" for id in ids],
            corrected=issues.p_suggested > score,
            is_label_issue=np.arange(N) < N // 3,
            given_label=[names[k] for k in given],
            suggested_label=[names[k] for k in suggested],
        )
        file, table = tmp_path / "report.html", issues.to_csv(index=False).encode()
        dataset = {"class_names": names, "id": "d" * 64, "num_examples": {"train": N - N // 5}}
        facts = dataset, {"audit": "a1"}
        data = gallery.page_data(digits, tmp_path, issues, table, *facts, file)
        words = ("made", "command", "published", "predicted_by", "review", "confusion")
        page.write_page(
            file,
            "training.html.jinja",
            **dict.fromkeys([*words, "calibrated", "sentence", "reliability"], ""),
            **{
                "headline": {},
                "noise_notes": [],
                "noise": {},
                "training": {},
                "run": {},
                "warnings": [],
                "data": [],
            },
            **{"title": "many", "audited": N, "issues": N // 3, "large": True, "gallery": data},
            classes=classes.rows(issues, given, suggested, np.eye(C), names),
            data_issues=NO_DATA_ISSUES,
            backbone_choice=None,
            budget=budget.budget(issues, np.full(N, True), RATES),
        )
        return file

    return make


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_leaves_the_page_and_nothing_sticks_out(opened, hostile_run, width, scheme):
    report = opened(hostile_run / "report.html", width, scheme)
    assert report.complaints == []
    outside = [url for url in report.requests if not url.startswith("data:")]
    assert outside == [(hostile_run / "report.html").as_uri()]
    assert report.page.evaluate("document.documentElement.scrollWidth") <= width
    paper, ink = report.page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    dark, light = sorted((paper, ink), key=lambda c: sum(map(int, c[4:-1].split(","))))
    assert paper == (dark if scheme == "dark" else light)
    broken = "[...document.images].filter((i) => i.complete && !i.naturalWidth).length"
    assert report.page.evaluate(broken) == 0


@pytest.mark.slow
def test_names_are_text(opened, hostile_run):
    report = opened(hostile_run / "report.html")
    assert {name for pair in report.labels() for name in pair} == set(HOSTILE)
    assert report.page.locator("#given option").all_inner_texts() == ["all", *sorted(HOSTILE)]
    report.begin()
    report.press("Enter")
    assert HOSTILE[0] in report.page.locator("#viewed").inner_text()
    report.press("Escape", "c")
    assert report.page.locator("#picked-class option").all_inner_texts() == sorted(HOSTILE)
    assert report.complaints == []


@pytest.mark.slow
def test_order_filter_and_search(opened, hostile_run, issues):
    report = opened(hostile_run / "report.html")
    assert report.cards().count() == len(issues)
    assert report.scores() == sorted(report.scores())
    report.page.select_option("#order", "trusted")
    assert report.scores() == sorted(report.scores(), reverse=True)
    report.page.select_option("#given", label=HOSTILE[1])
    expected = (issues.given_label == HOSTILE[1]).sum()
    assert [given for given, _ in report.labels()] == [HOSTILE[1]] * expected
    report.page.select_option("#suggested", label=HOSTILE[1])
    assert report.cards().count() == 0
    report.page.select_option("#suggested", "")
    report.page.select_option("#given", "")
    report.page.fill("#search", issues.path[3])
    assert report.page.locator("#count").inner_text() == "1 of 1 shown"


@pytest.mark.slow
def test_training_and_test_images_apart(opened, made_report, hostile_run):
    """Test images are named as such; the choice is there only where some are audited."""
    report = opened(made_report(100, ["a", "b"]))
    for split, count, named in (("tested", 20, 20), ("trained", 80, 0)):
        report.page.select_option("#state", split)
        assert report.page.locator("#count").inner_text().endswith(f"of {count} shown")
        where = report.page.locator("#cards .where").all_inner_texts()
        assert sum(text.endswith(", test image") for text in where) == named
    other = opened(hostile_run / "report.html")
    tested = (
        pd.read_parquet(hostile_run / "label_audit" / label_issues.TABLE).split == "test"
    ).any()
    assert other.page.locator("#state .splits").count() == (2 if tested else 0)


def test_keys_alone_decide(opened, hostile_run, issues):
    """The focus moves to the next image; all of it can be undone."""
    report = opened(hostile_run / "report.html")
    report.begin()
    report.press("s", "k", "x", "u", "Space")
    given, suggested = issues.given_label, issues.suggested_label
    said = [f"is {suggested[0]}", f"kept: {given[1]}", "not any class", "can't tell"]
    said.append(f"is {suggested[4]}")
    assert report.decided()[:5] == said
    assert report.current() == 5
    assert "undecided" in report.cards().nth(5).get_attribute("aria-label")
    assert f"decided: {said[0]}" in report.cards().nth(0).get_attribute("aria-label")
    report.press("z", "Control+z")
    assert report.decided()[3:5] == ["", ""]
    assert report.current() == 3
    report.press("Home", "Backspace")
    assert report.decided()[0] == ""
    report.press("n")
    assert report.current() == 3
    text = report.page.locator("#progress-text").inner_text()
    assert " label issues decided, 2 labels in all; " in text
    assert re.search(r"s a look, .* for the \d+ label issues? left here\.$", text)
    assert "1 of 2 decisions changed the given label (50%)" in report.page.inner_text("#so-far")
    assert report.complaints == []


@pytest.mark.slow
def test_the_next_undecided_image_has_the_focus(opened, hostile_run):
    """After each decision, and by n from anywhere; corrections of decisions go by one."""
    report = opened(hostile_run / "report.html")
    report.press("s", "n")
    assert report.current() == 0
    assert "".join(report.decided()) == ""
    report.press("s", "k")
    report.cards().nth(3).focus()
    report.press("x")
    report.page.reload()
    report.press("n")
    assert report.current() == 2
    report.press("s")
    assert report.current() == 4
    report.press("Home", "k")
    assert report.current() == 1
    report.press("Enter", "u")
    assert "3 of" in report.page.locator("#viewer").get_attribute("aria-label")
    report.press("n", "Escape")
    assert report.current() == 4
    assert report.complaints == []


@pytest.mark.slow
def test_a_key_held_down_decides_once(opened, hostile_run):
    report = opened(hostile_run / "report.html")
    report.begin()
    for _ in range(5):
        report.page.keyboard.down("s")
    report.page.keyboard.up("s")
    assert len(list(filter(None, report.decided()))) == report.current() == 1
    for _ in range(3):
        report.page.keyboard.down("ArrowRight")
    assert report.current() == 4


@pytest.mark.slow
def test_the_page_has_a_part_of_the_cards(opened, made_report):
    """That around the image of the keys: neither a long way nor a long list slows it down."""
    report = opened(made_report(1000, ["cat", "dog", "owl"]))
    shown = report.page.locator("#count")
    one = report.page.locator("#cards > li[tabindex='0']")
    report.page.click("#take-all")
    report.press("n")
    assert shown.inner_text() == "301 to 360 of 1,000 shown"
    assert report.current() == 33
    line = report.cards().nth(33).locator("xpath=preceding-sibling::li[1]")
    assert line.inner_text().startswith("The label issues end here: 333")
    report.press(*["ArrowLeft"] * 34)
    assert shown.inner_text() == "241 to 360 of 1,000 shown"
    assert report.current() == 59
    assert report.cards().nth(59).bounding_box()["y"] >= 0
    report.press("Home")
    assert shown.inner_text() == "60 of 1,000 shown"
    assert report.page.locator("#earlier").is_hidden()
    report.press(*["End", "ArrowRight"] * 9)
    assert shown.inner_text() == "121 to 600 of 1,000 shown"
    assert report.cards().count() == 480
    assert report.current() == 420
    assert report.page.locator("#cards > .line").count() == one.count() == 1
    for _ in range(2):
        report.page.click("#earlier")
    assert shown.inner_text() == "480 of 1,000 shown"
    assert one.count() == 1
    scores = report.scores()
    assert scores == sorted(scores)
    assert report.page.evaluate("found.slice(start, stop).every(({ id }) => drawn.has(id))")
    assert report.page.evaluate("drawn.size") == 480
    assert report.complaints == []


@pytest.mark.slow
def test_two_hundred_labels_by_the_keyboard(opened, made_report):
    """Across several screens of cards, in the order that gains most."""
    report = opened(made_report(300, ["cat", "dog", "owl"]))
    report.page.focus("#by-gain")
    report.press("Enter")
    report.press(*["s", "k", "1", "u"] * 50)
    assert report.current() == 200
    assert len(report.saved()) == 200
    assert ", 200 labels in all; " in report.page.inner_text("#progress-text")
    assert "of 150 decisions" in report.page.inner_text("#so-far")
    assert report.page.inner_text("#so-far").endswith(" 50 you can't tell.")
    report.press("n", "z")
    assert report.page.locator("#save-decisions").inner_text() == "Save decisions (199)"
    assert report.complaints == []


@pytest.mark.slow
def test_another_class_by_a_part_of_its_name(opened, hostile_run, issues):
    report = opened(hostile_run / "report.html")
    report.begin()
    report.press("c")
    report.page.keyboard.type(issues.suggested_label[0][:3].upper())
    report.press("Enter", "1", "?")
    assert report.decided()[0] == f"is {issues.suggested_label[0]}"
    assert report.decided()[1] != ""
    assert "take the suggestion" in report.page.locator("#help").inner_text()
    report.press("Escape", "ArrowLeft", "c", "Enter")
    assert report.page.locator("#picker").is_visible()  # nothing is chosen yet
    report.press("ArrowDown", "Escape")
    assert report.page.locator("#picker").is_hidden()
    assert report.current() == 1


@pytest.mark.slow
def test_the_full_size_view(opened, hostile_run, issues, tmp_path):
    """It shows the file where it is there, else the page's own picture; the same keys work."""
    report = opened(hostile_run / "report.html")
    report.begin()
    report.press("Enter")
    full = report.page.locator("#viewed .full")
    report.until("document.querySelector('#viewed .full').naturalWidth > 0")
    assert full.get_attribute("src").endswith(issues.path[0].rsplit("/")[-1])
    assert report.page.locator("#viewed .trusted").count() == 4  # two of each class
    assert "none" not in report.page.locator("#viewed").inner_text()
    notes = report.page.evaluate(
        "[[0, 0], [2, 2], [1, 2], [0, 2], [0, Infinity]].map((n) => noteOnTrusted(...n))"
    )
    assert notes[:3] == ["There are none of this class.", "", "The page has not all of them."]
    assert notes[3] == notes[4] == "The page has none for this image: it is far down the list."
    assert report.page.locator("#viewed .top li").count() == 2
    report.press("s")
    assert "2 of" in report.page.locator("#viewer").get_attribute("aria-label")
    report.press("ArrowLeft")
    assert report.page.locator("#viewed .decided").inner_text() == f"is {issues.suggested_label[0]}"
    report.page.click("#viewed >> text=Keep")
    assert "kept" in report.page.locator("#said-in-viewer").inner_text()
    report.press("ArrowLeft", "Escape")
    assert report.current() == 0
    images = hostile_run / 'im,"ages<img src=x>'
    images.rename(tmp_path / "elsewhere")
    try:
        report.press("End", "Enter")  # one that the browser has not loaded
        report.until("document.querySelector('#viewed .full').src.startsWith('data:')")
    finally:
        (tmp_path / "elsewhere").rename(images)


@pytest.mark.slow
def test_a_page_asks_for_files_only_where_some_may_be(opened, hostile_run, tmp_path):
    """Alone on another machine it soon has its own pictures, beside the images it has these."""
    images = hostile_run / 'im,"ages<img src=x>'
    away = images.rename(tmp_path / "away")
    try:
        shutil.copy(hostile_run / "report.html", tmp_path)
        alone = opened(tmp_path / "report.html")
        alone.begin()
        alone.press("Enter")
        for _ in range(6):
            alone.until("document.querySelector('#viewed .full').src.startsWith('data:')")
            alone.press("ArrowRight")
        assert len(alone.complaints) == 2 * 3  # two places, each asked three times
        shutil.copytree(away, tmp_path / images.name)
        beside = opened(tmp_path / "report.html")
        beside.begin()
        beside.press("Enter")
        for _ in range(6):
            beside.until("document.querySelector('#viewed .full').naturalWidth > 0")
            source = beside.page.evaluate("document.querySelector('#viewed .full').src")
            assert source.startswith(tmp_path.as_uri())
            beside.press("ArrowRight")
        (complaint,) = beside.complaints  # where the run found them
        assert OUTSIDE_FILES in complaint
    finally:
        away.rename(images)


@pytest.mark.slow
def test_bulk_and_its_undo(opened, hostile_run, issues):
    report = opened(hostile_run / "report.html")
    report.begin()
    report.press("k")
    report.page.select_option("#given", label=HOSTILE[0])
    report.page.click("#take-all")
    taken = (issues.given_label == HOSTILE[0]) & (issues.is_label_issue == 1)
    count = int(taken[1:].sum())
    assert count
    assert report.said() == f"Took the suggestion for {count} label issues; z undoes it."
    assert report.page.locator("#take-all").is_disabled()
    report.page.select_option("#given", "")
    report.page.select_option("#state", "undecided")
    assert report.cards().count() == len(issues) - count - 1
    report.page.select_option("#state", "decided")
    report.page.click("#undo")
    assert report.page.locator("#save-decisions").inner_text() == "Save decisions (1)"


def test_decisions_survive_and_are_saved_and_loaded(opened, hostile_run, issues, tmp_path):
    audit = artifacts.read(hostile_run / "label_audit", artifacts.LABEL_AUDIT)
    report = opened(hostile_run / "report.html")
    report.begin()
    report.press("s", "k", "x", "u")
    report.page.reload()
    assert len(list(filter(None, report.decided()))) == 4
    rows = report.saved()
    assert list(rows[0]) == ["id", "path", "given_label", "decision", "label", "run", "dataset"]
    assert [int(row["id"]) for row in rows] == issues.id[:4].tolist()
    assert [row["path"] for row in rows] == issues.path[:4].tolist()
    assert [row["given_label"] for row in rows] == issues.given_label[:4].tolist()
    assert [row["decision"] for row in rows] == ["relabel", "keep", "drop", "unsure"]
    assert [row["label"] for row in rows] == [issues.suggested_label[0], "", "", ""]
    assert {(row["run"], row["dataset"]) for row in rows} == {
        (audit["audit"], audit["parents"]["prepared_dataset"])
    }
    pd.DataFrame(rows).to_csv(tmp_path / "decisions.csv", index=False)
    other = opened(hostile_run / "report.html")
    assert list(filter(None, other.decided())) == []
    assert other.load(tmp_path / "decisions.csv") == "4 decisions loaded from decisions.csv."
    assert other.saved() == rows
    assert report.complaints == other.complaints == []


@pytest.mark.slow
def test_two_windows_have_the_same_decisions(opened, hostile_run):
    first = opened(hostile_run / "report.html")
    second = opened(hostile_run / "report.html", beside=first)
    for report, count in ((first, 1), (second, 2)):
        report.cards().nth(count).focus()
        report.press("k")
        for other in (first, second):
            other.until(f"decisions.size === {count}")
    assert len(list(filter(None, second.decided()))) == 2
    assert len(first.saved()) == 2


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("run", "a0", "must be of this run"),
        ("dataset", "f" * 64, "must be of this dataset"),
        ("id", "123456", "is not audited"),
        ("decision", "accept", "decision must be keep, relabel, drop, unsure"),
        ("label", "no class", "label must be a class"),
    ],
)
@pytest.mark.slow
def test_a_file_that_does_not_fit_is_refused_as_a_whole(
    opened, hostile_run, tmp_path, column, value, said
):
    report = opened(hostile_run / "report.html")
    report.begin()
    report.press("s", "s")
    rows = pd.DataFrame(report.saved())
    rows.loc[1, column] = value
    rows.to_csv(tmp_path / "decisions.csv", index=False)
    other = opened(hostile_run / "report.html")
    assert said in other.load(tmp_path / "decisions.csv")
    assert list(filter(None, other.decided())) == []


@pytest.mark.slow
def test_classes_with_the_names_of_decisions(opened, made_report, tmp_path):
    """Or with none: they share no column with decisions."""
    names = ["keep", "drop", "unsure", "relabel", "", "all", '"a,\n<b>é猫"', "=1+1"]
    report = opened(made_report(40, names))
    report.begin()
    for name in names:
        report.press("c")
        report.page.select_option("#picked-class", str(names.index(name)))
        report.page.click("#picked")
    rows = report.saved()
    for row, name in zip(rows, names):
        kept = row["given_label"] == name
        assert (row["decision"], row["label"]) == (("keep", "") if kept else ("relabel", name))
    with open(tmp_path / "decisions.csv", "w", newline="", encoding="utf-8-sig") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    other = opened(tmp_path / "report.html")
    assert other.load(tmp_path / "decisions.csv").startswith("8 decisions loaded")
    assert other.saved() == rows
    assert other.page.locator("button[data-label='4']").inner_text() == "(no name)"
    assert report.complaints == other.complaints == []


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_long_names_break_no_number(opened, made_report, width):
    report = opened(made_report(60, ["a", "b" * 90, f"{'c' * 40} {'d' * 40}"]), width)
    lines = """(range => [...document.querySelectorAll('.top .p, td.n')].map((cell) => {
        range.selectNodeContents(cell);
        return new Set([...range.getClientRects()].map((box) => box.top)).size;
    }))(document.createRange())"""
    counts = report.page.evaluate(lines)
    assert len(counts) > 100 and set(counts) == {1}
    assert report.page.evaluate("document.documentElement.scrollWidth") <= width
    widest = "Math.max(...[...document.querySelectorAll('td')].map((cell) => cell.offsetWidth))"
    assert report.page.evaluate(widest) < 390


@pytest.mark.slow
def test_what_is_no_table_is_refused(opened, hostile_run, tmp_path):
    report = opened(hostile_run / "report.html")
    for text in ('id,path\n"1,2', "id,path\n1,2\n", ""):
        (tmp_path / "decisions.csv").write_text(text)
        assert report.load(tmp_path / "decisions.csv").startswith("Nothing is loaded.")
    assert report.complaints == []


@pytest.mark.slow
def test_matrices_and_classes_filter(opened, hostile_run, issues):
    report = opened(hostile_run / "report.html")
    report.page.locator("button[data-label='1']").click()
    names = sorted(HOSTILE)
    assert {given for given, _ in report.labels()} == {names[1]}
    cells = report.page.locator("[data-matrix=noise] svg image").first
    cells.scroll_into_view_if_needed()
    box = cells.bounding_box()
    # true label 0, given label 1
    report.page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.25 * box["height"])
    assert set(report.labels()) == {(names[1], names[0])}
    assert report.page.locator("#suggested").input_value() == "0"
    assert report.current() == 0


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_a_cell_of_a_matrix_by_the_keyboard(opened, hostile_run, width):
    """The arrows stop at the edges; the text counts the images that Enter shows."""
    report, names = opened(hostile_run / "report.html", width), sorted(HOSTILE)
    report.page.focus("[data-matrix=noise]")
    mark, text = report.page.locator("[data-matrix=noise] .cell"), "[data-matrix=noise] + .chosen"
    report.press("ArrowUp", "ArrowRight", "ArrowRight")  # true label 0, given label 1
    cells = report.page.locator("[data-matrix=noise] svg image").bounding_box()
    assert cells["x"] + cells["width"] <= width  # two classes have room on each screen
    box = mark.bounding_box()
    assert (box["x"] - cells["x"]) / cells["width"] == pytest.approx(0.5, abs=0.02)
    assert (box["y"] - cells["y"]) / cells["height"] == pytest.approx(0, abs=0.02)
    assert f"given {names[1]}, suggested {names[0]}" in report.page.inner_text(text)
    report.press("Enter")
    assert set(report.labels()) == {(names[1], names[0])}
    assert report.current() == 0
    assert mark.is_hidden()
    report.page.focus("[data-matrix=noise]")
    report.press("ArrowDown")
    assert report.page.inner_text(text).endswith(f"given {names[1]}")
    report.press("Enter")
    assert {given for given, _ in report.labels()} == {names[1]}
    assert report.complaints == []


@pytest.mark.slow
def test_where_the_flagged_ones_end(opened, hostile_run, issues):
    report = opened(hostile_run / "report.html")
    flagged = int(issues.is_label_issue.sum())
    assert 0 < flagged < len(issues)
    place = "[...document.querySelector('#cards').children].findIndex((c) => c.matches('.line'))"
    assert report.page.evaluate(place) == flagged
    report.page.select_option("#state", "flagged")
    assert report.cards().count() == flagged
    report.page.click("#by-gain")
    assert report.page.evaluate(place) == -1
    kept = issues.p_suggested.where(issues.corrected == 1, issues.label_score)
    expected = issues.label_score[kept.sort_values(kind="stable").index].round(3)
    assert report.scores() == pytest.approx(expected.tolist(), abs=2e-3)


@pytest.mark.slow
def test_the_table_is_a_click_away(opened, hostile_run):
    report = opened(hostile_run / "report.html")
    with report.page.expect_download() as download:
        report.page.click("#save-issues")
    assert download.value.suggested_filename == label_issues.ISSUES
    table = hostile_run / "label_audit" / label_issues.ISSUES
    assert download.value.path().read_bytes() == table.read_bytes()


@pytest.mark.slow
def test_every_control_has_a_name_and_tab_reaches_it(opened, hostile_run):
    report = opened(hostile_run / "report.html")
    report.page.locator("#state").focus()
    reached = []
    for _ in range(12):
        reached.append(report.page.evaluate("document.activeElement.id"))
        report.press("Tab")
    assert {"given", "suggested", "order", "search", "take-all", "load-decisions"} < set(reached)
    tree = report.page.locator("body").aria_snapshot()
    assert 'button "Undo"' in tree
    assert 'combobox "Given label"' in tree
    assert 'grid "Audited images"' in tree
    nameless = "[...document.querySelectorAll('button, select, input')].filter((c) =>" + (
        " !(c.textContent.trim() || c.labels?.length || c.ariaLabel)).length"
    )
    assert report.page.evaluate(nameless) == 0


@pytest.mark.slow
def test_print(opened, hostile_run):
    report = opened(hostile_run / "report.html")
    report.page.emulate_media(media="print")
    assert not report.page.locator("#save-issues").is_visible()
    assert not report.page.locator("#cards button").first.is_visible()
    assert report.cards().first.is_visible()
    assert report.page.locator("button[data-label='0']").is_visible()
    assert report.page.pdf().startswith(b"%PDF")


def test_a_table_sorts(opened, tmp_path):
    rows = [{"method": m, "top1": v} for m, v in (("a", "9.5 ± 1"), ("b", "10.1"), ("c", "2"))]
    nothing = {"curves": {}, "confusion": {}, "large": False, "runs": [], "facts": {}}
    content = {"title": "t", "sentence": "", "rows": rows, **nothing}
    page.write_page(tmp_path / "report.html", "sweep.html.jinja", **content)
    sweep = opened(tmp_path / "report.html")
    first = sweep.page.locator("tbody td:first-child")
    sweep.page.click("text=top1")
    assert first.all_inner_texts() == ["c", "a", "b"]
    sweep.page.click("text=top1")
    assert first.all_inner_texts() == ["b", "a", "c"]
    assert sweep.page.locator("th[aria-sort=descending]").inner_text().startswith("top1")
    assert sweep.complaints == []


@pytest.mark.slow
def test_a_hundred_thousand_labels(opened, made_report):
    """The page has few pictures; the browser draws those in view, from files beside the page."""
    file = made_report(100_000, [f"class {c}" for c in range(100)])
    report = opened(file)
    assert file.stat().st_size < 60e6
    paints = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    assert report.page.evaluate(paints) < 2000
    assert report.cards().count() == 60
    report.begin()
    report.press("End", "ArrowRight")
    assert report.current() == 60
    report.page.select_option("#order", "trusted")
    report.cards().first.scroll_into_view_if_needed()
    report.until("document.querySelector('#cards img').naturalWidth > 0")
    address = report.page.locator("#cards img").first.get_attribute("src")
    assert address.startswith("report_pictures/")
    report.page.click("#take-all")
    assert report.said().startswith("Took the suggestion for 33,333 label issues")
    assert json.loads(report.page.evaluate("localStorage.getItem(localStorage.key(0))"))["rows"]
    report.page.select_option("#order", "suspicious")
    report.begin()
    report.press("n", "k")
    assert report.page.inner_text("#count") == "33,301 to 33,360 of 100,000 shown"
    assert "undecided" in report.page.evaluate("document.activeElement.ariaLabel")
    assert report.complaints == []
