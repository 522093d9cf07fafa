"""The reports in a real browser, without a network."""

import collections
import dataclasses
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import sync_playwright

from tests.conftest import HOSTILE
from trainer.audit import decisions, label_issues, rounds
from trainer.report import gallery, page

pytestmark = pytest.mark.browser
WIDTHS, SCHEMES = (360, 1280), ("light", "dark")


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
        """Given and suggested label, score and place of each card that is shown."""
        return [item.split("\n") for item in self.page.locator("#cards li").all_inner_texts()]

    def scores(self):
        return [float(lines[1].removeprefix("label score ")) for lines in self.cards()]


@pytest.fixture
def opened(chromium):
    """A function that opens a file."""
    contexts = []

    def open_file(file, width=1280, scheme="light"):
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
    broken = "[...document.images].filter((image) => !image.naturalWidth).length"
    assert report.page.evaluate(broken) == 0


@pytest.mark.slow
def test_names_are_text(opened, hostile_run):
    report = opened(hostile_run / "report.html")
    cards = report.cards()
    assert {name for card in cards for name in card[0].split(" → ")} == set(HOSTILE)
    options = report.page.locator("#given option").all_inner_texts()
    assert options == ["all", *sorted(HOSTILE)]
    assert report.complaints == []


@pytest.mark.slow
def test_order_filter_and_search(opened, hostile_run):
    report = opened(hostile_run / "report.html")
    issues = pd.read_parquet(hostile_run / "label_audit" / label_issues.TABLE)
    assert len(report.cards()) == len(issues)
    assert report.scores() == sorted(report.scores())
    report.page.select_option("#order", "trusted")
    assert report.scores() == sorted(report.scores(), reverse=True)
    report.page.select_option("#given", HOSTILE[1])
    expected = (issues.given_label == HOSTILE[1]).sum()
    assert [card[0].split(" → ")[0] for card in report.cards()] == [HOSTILE[1]] * expected
    report.page.select_option("#suggested", HOSTILE[1])
    assert report.cards() == []
    report.page.select_option("#suggested", "all")
    report.page.select_option("#given", "all")
    report.page.fill("#search", issues.path[3])
    assert len(report.cards()) == 1
    assert report.page.locator("#count").inner_text() == "1 of 1 shown"


@pytest.mark.slow
def test_the_keyboard_suffices(opened, hostile_run):
    report = opened(hostile_run / "report.html")
    report.page.locator("#given").focus()
    report.page.keyboard.press("ArrowDown")
    assert len({card[0].split(" → ")[0] for card in report.cards()}) == 1
    reached = set()
    for _ in range(12):
        report.page.keyboard.press("Tab")
        reached.add(
            report.page.evaluate("document.activeElement.id || document.activeElement.ariaLabel")
        )
    assert {"suggested", "order", "search", "save-issues"} < reached
    assert any(name.startswith("Decision on") for name in reached if name)


def test_the_table_and_decisions_are_a_click_away(opened, hostile_run, tmp_path):
    report = opened(hostile_run / "report.html")
    with report.page.expect_download() as download:
        report.page.click("#save-issues")
    assert download.value.suggested_filename == label_issues.ISSUES
    table = hostile_run / "label_audit" / label_issues.ISSUES
    assert download.value.path().read_bytes() == table.read_bytes()

    choices = report.page.locator("#cards select")
    choices.nth(0).select_option(index=1)
    choices.nth(1).select_option(HOSTILE[0])
    choices.nth(2).select_option(index=2)
    choices.nth(2).select_option("")
    with report.page.expect_download() as download:
        report.page.click("#save-decisions")
    download.value.save_as(tmp_path / "decisions.csv")
    rows, issues = decisions.read(tmp_path / "decisions.csv"), pd.read_csv(table)
    rounds.find(rows, hostile_run, "--checkpoint_path")
    _, rows, _ = rounds.start(hostile_run, rows)
    decided = rows.label.where(rows.decision == "relabel", rows.given_label)
    expected = {issues.id[0]: issues.suggested_label[0], issues.id[1]: HOSTILE[0]}
    assert dict(zip(rows.id, decided)) == expected
    assert report.complaints == []


@pytest.mark.slow
def test_print(opened, hostile_run):
    report = opened(hostile_run / "report.html")
    report.page.emulate_media(media="print")
    assert not report.page.locator("#save-issues").is_visible()
    assert report.page.locator("#cards li").first.is_visible()
    assert report.page.pdf().startswith(b"%PDF")


@pytest.mark.slow
def test_a_hundred_thousand_labels(opened, digits, tmp_path):
    """The browser draws only the pictures that are in view."""
    N, C = 100_000, 100
    rng = np.random.default_rng(0)
    issues = pd.DataFrame(
        {
            "id": rng.integers(1437, size=N),
            "path": [f"photos/{i:06d}.jpg" for i in range(N)],
            "given_label": rng.integers(C, size=N).astype(str),
            "suggested_label": rng.integers(C, size=N).astype(str),
            "label_score": np.linspace(0, 1, N),
            "audit": "a1",
        }
    )
    data = gallery.page_data(digits, issues, issues.to_csv(index=False).encode())
    assert len(data["rows"]) == len(data["pictures"]) < 1500
    given = collections.Counter(row[2] for row in data["rows"])
    assert len(given) == C
    assert min(given.values()) >= gallery.OF_EACH_CLASS
    page.write_page(
        tmp_path / "report.html",
        "training.html.jinja",
        **{"title": "many", "sentence": "", "shown": len(data["rows"]), "audited": N},
        **{
            "predicted_by": "",
            "published": "",
            "warnings": [],
            "large": True,
            "gallery": data,
            "headline": {},
            "data": [],
            "noise": {},
        },
        **{"confusion": "", "reliability": "", "calibrated": "", "training": {}, "run": {}},
    )
    report = opened(tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size < 8e6
    assert len(report.cards()) == 48
    report.page.click("#more")
    assert len(report.cards()) == 96
    with report.page.expect_download() as download:
        report.page.click("#save-issues")
    assert len(pd.read_csv(download.value.path())) == N
    assert report.complaints == []
