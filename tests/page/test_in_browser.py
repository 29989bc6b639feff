"""The page as a person meets it, in headless Chromium: by mouse and by keyboard, on a telephone, in the dark."""

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import COLOURS, Project, data_of
from PIL import Image
from playwright.sync_api import sync_playwright

from headstart import review
from headstart.artifacts import corrections
from headstart.base import wording
from headstart.page import comparison, rendering

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "<img src=x onerror=hit=1>"  # the name of a class, and of a file
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1200, "height": 900}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (apt-get install chromium)")


@pytest.fixture(scope="module")
def project(_fresh, tmp_path_factory):
    """A run with two classes, one of a hostile name, five wrong labels, and a hostile file name."""
    project = Project(Path(shutil.copytree(_fresh, tmp_path_factory.mktemp("page") / "project")))
    images = project.path / "data/my_images"
    (images / "red").rename(images / HOSTILE)
    (images / HOSTILE / "00.png").rename(images / HOSTILE / f"{HOSTILE}.png")
    rng = np.random.default_rng(7)
    for number in range(20, 44):
        for name, colour in (("blue", COLOURS["blue"]), (HOSTILE, COLOURS["red"])):
            wrong = number in range(21, 26) and name == "blue"
            noise = rng.normal(0, 10, (32, 32, 3)) + np.array(COLOURS["red"] if wrong else colour)
            Image.fromarray(np.clip(noise, 0, 255).astype("uint8")).save(images / name / f"{number}.png")
    project.set({"head.solver": "logistic"})
    project.repro()
    return project


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, project):
    """A function that opens the page; at the end there must have been no error in its console."""
    said, contexts = [], []

    def opened(address=None, viewport=DESK, chart="counts", **options):
        contexts.append(browser.new_context(viewport=viewport, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda asked: said.append(asked.url) if asked.url.startswith(("http:", "https:")) else None)
        page.goto(address or (project.path / "metrics/report.html").as_uri())
        page.wait_for_selector(f"[data-chart={chart}] svg")
        return page

    yield opened
    for context in contexts:
        context.close()
    ours = ("http://127.0.0.1:", "Failed to load resource: net::ERR_CONNECTION_REFUSED")  # a review that was ended
    assert [text for text in said if not text.startswith(ours)] == []


def sight(page, gallery):
    """The gallery of that name, in sight and filled."""
    found = page.locator(f"#g-{gallery}")
    found.scroll_into_view_if_needed()
    found.locator(".cards > *").first.wait_for()
    return found


VIEWS = pytest.mark.parametrize(
    ("viewport", "scheme"), [(DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")]
)


@VIEWS
def test_it_is_accessible_and_fits(opened, viewport, scheme):
    page = opened(viewport=viewport, color_scheme=scheme)
    for gallery in page.query_selector_all(".gallery"):
        sight(page, gallery.get_attribute("data-gallery"))
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def test_no_name_is_obeyed(opened):
    page = opened()
    assert page.evaluate("window.hit") is None
    assert page.title() == f"Report: {HOSTILE}, blue"
    ticks = page.locator("[data-chart=counts] .ytick").all_text_contents()
    assert sorted(ticks) == sorted([wording.label(HOSTILE, 24), "blue"])
    words = sight(page, "examples").locator(".words").all_inner_texts()
    assert HOSTILE in words and "blue" in words


def test_the_slider_moves_recall_precision_and_the_matrix(opened, project):
    page, measured = opened(), json.loads((project.path / "metrics/test.json").read_text())

    def cell(name):
        return page.locator(f'[data-cell="{name}"]').inner_text()

    positive = measured["fine_tuned" if "fine_tuned" in measured else "head"]["per_class"][1]
    images = positive["images"]
    assert int(cell("tp")) + int(cell("fn")) == images and cell("recall") == f"{positive['recall']:.4f}"
    page.locator("#threshold").focus()
    page.keyboard.press("Home")
    assert (cell("tp"), cell("fn"), cell("recall")) == (str(images), "0", "1.0000")
    page.keyboard.press("End")
    assert (cell("tp"), cell("fp"), cell("precision")) == ("0", "0", "–")
    assert page.locator("#threshold-value").inner_text() == "1.000"


def test_until_the_slider_is_moved_a_small_threshold_is_the_classifiers_own(opened, project, tmp_path):
    text = (project.path / "metrics/report.html").read_text("utf-8")
    data = data_of(project.path / "metrics/report.html")
    two = {"of": "blue", "other": HOSTILE, "threshold": 0.00031, "shown": "0.00031"}
    two |= {"values": [0.0002, 0.0004, 0.9], "called": [0, 1, 1], "truth": [0, 1, 0], "counts": [1, 1, 1]}
    before = text.split('id="data-of-page">')[0].replace("0.500", "0.00031")
    before = before.replace('value="0.00031"', 'value="0.000"')
    after = text.split('id="data-of-page">')[1].partition("</script>")[2]
    small = tmp_path / "report.html"
    small.write_text(f'{before}id="data-of-page">{rendering.script(data | {"two": two})}</script>{after}', "utf-8")
    page = opened(small.as_uri())

    def seen():
        cells = [page.locator(f'[data-cell="{name}"]').inner_text() for name in ("tp", "fn", "fp", "tn")]
        slider = page.locator("#threshold")
        return cells, page.locator("#threshold-value").inner_text(), slider.get_attribute("aria-valuetext")

    assert seen() == (["1", "0", "1", "1"], "0.00031", "0.00031")
    assert "The classifier's own is 0.00031." in page.locator("#threshold-note").inner_text()
    page.locator("#threshold").focus()
    page.keyboard.press("ArrowRight")
    assert seen() == (["0", "1", "1", "1"], "0.001", "0.001")
    page.keyboard.press("ArrowLeft")
    assert seen() == (["1", "0", "2", "0"], "0.000", "0.000")


def test_filters_by_class_and_by_cell_of_the_matrix(opened):
    page = opened()
    right = sight(page, "right")
    everything = right.locator(".card").count()
    page.select_option("#class-filter", label="blue")
    blue = sight(page, "right").locator(".card").count()
    assert 0 < blue < everything and f"({blue} of {everything})" in right.locator(".count").inner_text()
    page.select_option("#class-filter", "")
    page.select_option("#cell", "1,1")
    assert sight(page, "right").locator(".card").count() == blue
    page.locator("#clear").press("Enter")
    assert sight(page, "right").locator(".card").count() == everything
    page.locator("#surety").focus()
    page.keyboard.press("End")
    assert sight(page, "right").locator(".card").count() < everything


def test_by_keyboard_an_image_opens_large_with_its_heat_map_and_the_next_one_follows(opened):
    page = opened()
    first, second = (sight(page, "right").locator(".card > button").nth(place) for place in (0, 1))
    names = [card.locator("img").first.get_attribute("alt") for card in (first, second)]
    first.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("#large")
    assert dialog.is_visible() and page.locator("#large-title").inner_text() == names[0]
    assert page.locator("#large-heat").is_visible()
    assert page.locator("#large-near .card").count() >= 3
    page.keyboard.press("ArrowRight")
    assert page.locator("#large-title").inner_text() == names[1]
    assert Axe().run(page).violations_count == 0
    page.keyboard.press("Escape")
    assert not dialog.is_visible()


def decide(page):
    """Choose for two of the images that look mislabelled."""
    choices = sight(page, "suspects").locator(".card select")
    assert 2 <= choices.count() <= 5
    choices.nth(0).select_option(label=f"it is {HOSTILE}")
    choices.nth(1).select_option("leave out")
    page.fill("#by", "=Ann")


def test_what_is_decided_is_a_file_that_split_takes(opened, project, tmp_path):
    page = opened()
    page.locator("#save").press("Enter")  # by keyboard: a chart that grows moves it under the mouse
    assert page.locator("#saved").inner_text() == "Nothing is decided yet."
    decide(page)
    with page.expect_download() as download:
        page.locator("#save").press("Enter")
    (tmp_path / "data").mkdir()
    download.value.save_as(tmp_path / corrections.CORRECTIONS)
    written = corrections.read(tmp_path)
    assert {(of.action, of.label, of.by) for of in written} == {("label", HOSTILE, "=Ann"), ("leave out", "", "=Ann")}
    assert {Path(of.path).name for of in written} < {f"{number}.png" for number in range(21, 26)}
    copy = Project(Path(shutil.copytree(project.path, tmp_path / "project")))
    shutil.copy(tmp_path / corrections.CORRECTIONS, copy.path / corrections.CORRECTIONS)
    done = copy.repro("split")
    assert "data/corrections.csv: 1 label changed, 1 image left out" in done.stdout


def test_the_review_writes_what_is_decided(opened, project, tmp_path, monkeypatch):
    (tmp_path / "metrics").mkdir()
    shutil.copy(project.path / review.PAGE, tmp_path / review.PAGE)
    monkeypatch.chdir(tmp_path)
    corrections.write([corrections.Correction("elsewhere.png", "1", "keep", "")])
    made, address = review.server()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    try:
        page = opened(address)
        decide(page)
        page.locator("#save").press("Enter")
        page.locator("#saved", has_text="written").wait_for()
        assert page.locator("#saved").inner_text().startswith("2 corrections written to data/corrections.csv")
        written = corrections.read()
        assert written[0].path == "elsewhere.png" and len(written) == 3
        again = opened(address)  # what is decided is there, and can be taken back
        first = sight(again, "suspects").locator(".card select").nth(0)
        assert first.input_value().startswith("label:")
        first.select_option("")
        again.locator("#save").press("Enter")
        again.locator("#saved", has_text="No longer there").wait_for()
        assert len(corrections.read()) == 2
        first.select_option("keep")
    finally:
        made.shutdown()
        made.server_close()
    again.locator("#save").press("Enter")
    again.locator("#saved", has_text="Not saved").wait_for()
    assert len(corrections.read()) == 2


def test_on_paper_all_images_are_there(opened, tmp_path):
    page = opened()
    page.emulate_media(media="print")
    page.pdf(path=tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 50_000
    assert not page.locator("nav").is_visible()


@VIEWS
def test_the_page_of_many_runs_is_accessible_and_obeys_no_name(opened, tmp_path, viewport, scheme):
    rates, names = (0.001, 0.01, 0.1), [f"rate-{number}" for number in range(3)] + [HOSTILE]
    seconds = dict.fromkeys(comparison.STAGES, 5.0)
    values = [{"head.learning_rate": rate, "backbone.name": HOSTILE} for rate in rates] + [
        {"head.learning_rate": 1.0, "backbone.name": "MobileNet"}
    ]
    dots = [
        comparison.Dot(name, f"{name}: {HOSTILE}", 0.9, 0.8, 0.95, seconds if name != "rate-1" else {}, of)
        for name, of in zip(names, values, strict=True)
    ]
    path = tmp_path / "runs.html"
    comparison.write(path, "Runs", [HOSTILE], (["experiment", "a"], [[name, HOSTILE] for name in names]), dots)
    page = opened(path.as_uri(), viewport, "parameter-1", color_scheme=scheme)
    assert Axe().run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert page.evaluate("window.hit") is None
    assert page.locator("[data-chart=seconds] .points path").count() == 3
    assert "Not drawn, since they did not run on this machine, or were interrupted: rate-1." in page.inner_text("main")
    labels = page.locator("[data-chart=parameter-0] .xtick").all_text_contents()
    assert {"0.001", "0.01", "0.1", "1"} <= set(labels)
    labels = page.locator("[data-chart=parameter-1] .xtick").all_text_contents()
    assert set(labels) == {HOSTILE, "MobileNet"}


def test_a_cell_of_the_matrix_shows_its_images_and_an_empty_one_shows_all_again(opened):
    page = opened()
    everything = sight(page, "right").locator(".card").count()

    def click(own, called):
        page.evaluate(
            "(pair) => document.querySelector('[data-chart=confusion]').emit('plotly_click', "
            "{ points: [{ customdata: pair }] })",
            [own, called],
        )

    click(1, 1)
    assert 0 < sight(page, "right").locator(".card").count() < everything
    click(0, 5)
    assert sight(page, "right").locator(".card").count() == everything


def test_of_a_picture_that_was_renamed_the_file_has_the_last_decision_alone(opened, project, tmp_path):
    text, data = (project.path / review.PAGE).read_text("utf-8"), data_of(project.path / review.PAGE)
    row = str(data["galleries"]["suspects"][0])
    before = {
        "path": "old.png",
        "sha256": data["images"][row]["sha256"],
        "action": "keep",
        "label": "",
        "by": "",
        "why": "",
    }
    start, _, rest = text.partition('id="data-of-page">')
    changed = rendering.script(data | {"corrections": [before]})
    (tmp_path / "report.html").write_text(
        f'{start}id="data-of-page">{changed}</script>{rest.partition("</script>")[2]}'
    )
    page = opened((tmp_path / "report.html").as_uri())
    sight(page, "suspects").locator(".card select").nth(0).select_option("leave out")
    with page.expect_download() as download:
        page.locator("#save").press("Enter")
    (tmp_path / "data").mkdir()
    download.value.save_as(tmp_path / corrections.CORRECTIONS)
    assert [of.action for of in corrections.read(tmp_path)] == ["leave out"]
