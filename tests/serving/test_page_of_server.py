"""The server's page as a person meets it, in headless Chromium: by mouse, by keyboard, on a telephone, in the dark."""

import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import COLOURS, Project
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from running import photo, running

import headstart
from headstart.artifacts import corrections
from headstart.artifacts.results import CLASSIFIER
from headstart.serving import app
from headstart.serving import project as of_server
from headstart.serving.guard import Access

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "<img src=x onerror=hit=1>"  # the name of a class, and of a file
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1200, "height": 900}
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
TOKEN = "a token with ümlauts"

expect.set_options(timeout=30_000)  # a machine may be busy
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (apt-get install chromium)")


@pytest.fixture(scope="module")
def project(_fresh, tmp_path_factory):
    """A run with two classes, one of a hostile name."""
    project = Project(Path(shutil.copytree(_fresh, tmp_path_factory.mktemp("server") / "project")))
    images = project.path / "data/my_images"
    (images / "red").rename(images / HOSTILE)
    (images / HOSTILE / "00.png").rename(images / HOSTILE / f"{HOSTILE}.png")
    project.set({"head.solver": "logistic"})
    project.repro("calibrate")
    return project


@pytest.fixture(scope="module")
def classifier(project):
    return headstart.Classifier.load(project.path / CLASSIFIER)


@pytest.fixture
def server(project, classifier):
    """A server that runs in the project."""
    here = of_server.find(classifier.classes, project.path)
    known = of_server.training_images(here, classifier)
    assert known is not None
    (project.path / corrections.CORRECTIONS).unlink(missing_ok=True)
    with running(classifier, here, known) as server:
        yield server
    known.close()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *CAMERA])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """A function that opens a server's page; in the end nothing may have failed in it, nor come from elsewhere."""
    said, contexts = [], []

    def opened(server, viewport=DESK, **options):
        contexts.append(browser.new_context(viewport=viewport, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        ours = (server.address, "blob:", "data:")
        page.on("request", lambda asked: None if asked.url.startswith(ours) else said.append(asked.url))
        page.goto(server.address)
        return page

    yield opened
    for context in contexts:
        context.close()
    expected = "Failed to load resource: "  # tests that want one check it
    assert [text for text in said if not text.startswith(expected)] == []


@pytest.fixture
def photos(tmp_path):
    """Two photos, one of a hostile name."""
    paths = [tmp_path / "blue.jpg", tmp_path / f"{HOSTILE}.png"]
    for path, name in zip(paths, ("blue", "red"), strict=True):
        noise = np.random.default_rng(3).normal(0, 10, (60, 90, 3)) + np.array(COLOURS[name])
        Image.fromarray(np.clip(noise, 0, 255).astype("uint8")).save(path)
    return paths


def answered(page, count):
    """The answers on the page, when there are so many."""
    expect(page.locator(".found:not([hidden]), .state.wrong")).to_have_count(count)
    return page.locator(".answer")


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_and_fits(opened, server, photos, tmp_path, viewport, scheme):
    page = opened(server, viewport, color_scheme=scheme, has_touch=viewport == PHONE, is_mobile=viewport == PHONE)
    assert Axe().run(page).response["violations"] == []
    (tmp_path / "notes.txt").write_text("no image")
    page.set_input_files("#files", [*photos, tmp_path / "notes.txt"])
    answered(page, 3)
    page.check("#heat")
    for summary in page.query_selector_all(".wrong-it-is summary"):
        if summary.is_visible():
            summary.click()
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert page.locator("#shot-label").is_visible() == (viewport == PHONE)
    assert page.get_attribute("#shot", "capture") == "environment"


def test_each_photo_gets_its_class_and_what_is_behind_it(opened, server, photos, classifier):
    page = opened(server)
    page.set_input_files("#files", photos)
    cards = answered(page, 2)
    for path in photos:
        card = cards.filter(has=page.get_by_role("heading", name=path.name, exact=True))
        (expected,) = classifier.predict([path])
        assert card.locator(".verdict").inner_text() == f"{expected.label}: {expected.probability:.4f}"
        rows = dict(row.split("\t")[:2] for row in card.locator(".values tr").all_inner_texts())
        assert {name: float(value) for name, value in rows.items()} == pytest.approx(
            dict(expected.probabilities), abs=1e-4
        )
        doubts = " ".join(card.locator(".doubts li").all_inner_texts())
        assert ("Not sure" in doubts) == (len(expected.possible) > 1) and ("Unlike" in doubts) == expected.unlike
        near = card.locator(".near figure")
        assert near.count() == 4 and set(near.locator("figcaption").all_inner_texts()) == {expected.label}
        assert near.locator("img").first.evaluate("image => image.naturalWidth") > 0
        assert card.locator(".photo").evaluate("image => [image.naturalWidth, image.naturalHeight]") == [90, 60]
        assert not card.locator(".map").is_visible()
    page.check("#heat")
    assert page.locator(".map:visible").count() == 2
    assert "2 classified" in page.inner_text("#said")


def test_no_name_is_obeyed(opened, server, photos):
    page = opened(server)
    page.set_input_files("#files", photos)
    answered(page, 2)
    assert page.evaluate("window.hit") is None
    assert HOSTILE in page.inner_text("#classes") and HOSTILE in page.title()
    assert page.get_by_role("heading", name=f"{HOSTILE}.png").count() == 1


def test_what_is_no_image_says_why_and_a_heic_is_shown(opened, server, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    page = opened(server)
    page.set_input_files("#files", [tmp_path / "notes.txt", Path(__file__).parent.parent / "images/upright.heic"])
    answered(page, 2)
    assert page.locator(".state.wrong").inner_text().startswith("not an image by its first bytes")
    assert (
        page.locator(".answer", has_text="upright.heic").locator(".photo").evaluate("image => image.naturalWidth") > 0
    )
    assert page.inner_text("#said").startswith("1 classified, 1 could not be")


def test_by_keyboard_a_wrong_answer_is_corrected_and_the_image_is_in_the_project(
    opened, server, project, photos, tmp_path
):
    page = opened(server)
    page.set_input_files("#files", photos[:1])
    answered(page, 1)
    summary = page.locator(".wrong-it-is summary")
    summary.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type(HOSTILE)
    page.keyboard.press("Tab")
    page.keyboard.type("=Ann")
    page.keyboard.press("Tab")
    page.keyboard.type("looks red")
    page.keyboard.press("Enter")
    page.locator(".saved", has_text="Saved").wait_for()
    (written,) = corrections.read(project.path)
    assert (written.action, written.label, written.by, written.why) == ("label", HOSTILE, "=Ann", "looks red")
    assert (project.path / written.path).read_bytes() == photos[0].read_bytes()
    # The pipeline says where it lies, and takes it when the source has a copy.
    other = Project(Path(shutil.copytree(project.path, tmp_path / "project")))
    said = "1 correction of images that were sent to the server and lie in data/corrections/"
    assert said in other.repro("split").stdout
    shutil.copy(other.path / written.path, other.path / "data/my_images/blue/from the page.jpg")
    assert "data/corrections.csv: 1 label changed" in other.repro("split").stdout


def test_a_photo_is_taken_with_the_camera(opened, server):
    page = opened(server)
    page.locator("#camera").press("Enter")
    deadline = time.monotonic() + 10
    while not page.evaluate("document.getElementById('video').videoWidth") and time.monotonic() < deadline:
        page.wait_for_timeout(100)
    assert Axe().run(page).response["violations"] == []
    page.locator("#take").press("Enter")
    answered(page, 1)
    assert page.locator(".answer .name").inner_text().startswith("camera ")
    assert not page.locator("#viewfinder").is_visible()
    assert page.evaluate("document.getElementById('video').srcObject") is None


def test_photos_are_dropped_and_pasted(opened, server):
    page = opened(server)
    expect(page).to_have_title(re.compile("blue"))
    for kind in ("drop", "paste"):
        page.evaluate(
            """([kind, bytes]) => {
                const data = new DataTransfer();
                data.items.add(new File([new Uint8Array(bytes)], `${kind}.png`));
                const event = kind === "drop" ? new DragEvent(kind, { dataTransfer: data, cancelable: true })
                    : new ClipboardEvent(kind, { clipboardData: data });
                dispatchEvent(event);
            }""",
            [kind, list(photo())],
        )
    names = answered(page, 2).locator(".name").all_inner_texts()
    assert sorted(names) == ["drop.png", "paste.png"]


def test_it_asks_for_the_token_until_it_is_the_right_one(opened, classifier, photos):
    with running(classifier, access=Access(TOKEN, open=tuple(app.PAGE))) as server:
        page = opened(server)
        for given in ("wrong", TOKEN):
            page.locator("#token").wait_for(state="visible")
            assert Axe().run(page).response["violations"] == []
            page.fill("#token-value", given)
            page.keyboard.press("Enter")
        expect(page).to_have_title(re.compile("blue"))
        page.set_input_files("#files", photos)
        answered(page, 2)
        page.reload()  # it is remembered
        expect(page).to_have_title(re.compile("blue"))
        assert not page.locator("#token").is_visible()


def test_outside_of_a_project_nothing_can_be_corrected(opened, classifier, photos):
    with running(classifier) as server:
        page = opened(server)
        page.set_input_files("#files", photos)
        answered(page, 2)
        assert page.locator(".wrong-it-is:visible").count() == 0 and page.locator(".near:visible").count() == 0


def test_a_server_that_has_gone_is_said_and_can_be_tried_again(opened, classifier, photos):
    with running(classifier) as server:
        page = opened(server)
        expect(page).to_have_title(re.compile("blue"))
        page.route("**/predict*", lambda route: route.abort())
        page.set_input_files("#files", photos[:1])
        page.locator(".state.wrong", has_text="The server does not answer.").wait_for()
        page.unroute("**/predict*")
        page.get_by_role("button", name="Try again").press("Enter")
        answered(page, 1)
        assert page.locator(".verdict").inner_text().startswith("blue")
