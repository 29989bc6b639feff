"""What is asked, and what is answered, through real HTTP."""

import base64
import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from running import Slow, form, load_classifier, photo, running

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return load_classifier(tmp_path_factory.mktemp("serving") / "classifier.keras")


@pytest.fixture(scope="module")
def server(classifier):
    with running(classifier, megabytes=1, files=6, queue=40) as server:
        yield server


def in_json(*contents):
    return {"images": [{"base64": base64.b64encode(content).decode()} for content in contents]}


def predicted(classifier, folder, *contents):
    """What the classifier itself says of the files."""
    paths = [folder / f"{number}.img" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return classifier.predict(paths)


def agree(entry, prediction):
    assert entry["class"] == prediction.label
    assert entry["possible"] == list(prediction.possible)
    assert entry["unlike"] is prediction.unlike
    assert entry["probability"] == pytest.approx(prediction.probability, abs=2e-6)
    assert entry["probabilities"] == pytest.approx(prediction.probabilities, abs=2e-6)


def test_files_in_a_form_get_the_answers_of_the_classifier_in_their_order(server, classifier, tmp_path):
    contents = [photo(1), photo(2, kind="JPEG"), photo(3, (200, 100), "WEBP"), photo(4, kind="TIFF")]
    answer = server.post(files=form(*contents))
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    entries = answer.json()["images"]
    assert [entry["name"] for entry in entries] == ["0", "1", "2", "3"]
    assert set(entries[0]) == {"name", "class", "probability", "possible", "unlike", "probabilities"}
    for entry, prediction in zip(entries, predicted(classifier, tmp_path, *contents), strict=True):
        agree(entry, prediction)


def test_an_image_of_another_depth_than_those_of_training_has_a_doubt(server):
    deep = Image.fromarray(np.linspace(0, 65535, 400).reshape(20, 20).astype(np.uint16))
    file = io.BytesIO()
    deep.save(file, "PNG")
    of_deep, plain = server.post(files=form(file.getvalue(), photo(1))).json()["images"]
    assert of_deep["doubt"].startswith("1 image of more than 8 bits, and the classifier was trained on 8")
    assert "doubt" not in plain


@pytest.mark.parametrize("path", ["/", "/healthz", "/model", "/predict", "/nothing"])
def test_head_says_what_get_would_without_its_body(server, path):
    got, head = server.get(path), server.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    same = ("content-type", "content-length", "allow")
    assert [head.headers.get(name) for name in same] == [got.headers.get(name) for name in same]


def test_base64_in_a_json_gets_the_same_as_files(server):
    contents = [photo(1), photo(2)]
    body = in_json(*contents)
    body["images"][1]["name"] = "zweites.png"
    answer = server.post(json=body)
    assert answer.status_code == 200
    of_form = server.post(files=form(*contents)).json()["images"]
    assert answer.json()["images"] == [of_form[0] | {"name": "image 1"}, of_form[1] | {"name": "zweites.png"}]


def test_one_that_cannot_be_read_has_an_error_and_the_others_an_answer(server):
    answer = server.post(files=form(photo(1), b"no image", photo(2), b""))
    assert answer.status_code == 200
    entries = answer.json()["images"]
    assert ["error" in entry for entry in entries] == [False, True, False, True]
    assert entries[3] == {"name": "3", "error": "zero bytes"}
    answer = server.post(json=in_json(photo(1)) | {"images": [*in_json(photo(1))["images"], {"base64": "a photo!"}]})
    entry = answer.json()["images"][1]
    assert entry["name"] == "image 2" and entry["error"].startswith(
        "not base64: takes the file in A-Z, a-z, 0-9, + and /"
    )


def test_where_none_can_be_read_that_is_the_problem(server):
    answer = server.post(files=form(b"no image", b""))
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    assert problem["detail"].startswith("0: not an image by its first bytes")
    assert [entry["name"] for entry in problem["images"]] == ["0", "1"]


def test_many_at_once_share_batches_and_each_gets_its_own(classifier, tmp_path):
    slow = Slow(classifier, 0.02)
    contents = [photo(number) for number in range(60)]
    with running(slow, batch=8, wait=5) as server, ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda content: server.post(files=form(content)).json(), contents))
        assert server.number("headstart_images_total") == 60
        assert server.number("headstart_batch_images_count") == len(slow.batches) - 1  # one before it began
    assert len(slow.batches) < 40 and max(slow.batches) <= 8
    for answer, prediction in zip(answers, predicted(classifier, tmp_path, *contents), strict=True):
        agree(answer["images"][0], prediction)


def test_with_explain_there_are_a_preview_and_a_heat_map(server, classifier):
    (entry,) = server.post("/predict?explain=true", files=form(photo(5, (300, 200), "JPEG"))).json()["images"]
    preview = Image.open(io.BytesIO(base64.b64decode(entry["preview"].partition(",")[2])))
    assert preview.size == (300, 200)
    pixels = np.zeros((1, 8, 8, 3), np.uint8)
    heat = np.array(entry["heat"])
    assert heat.shape == classifier.answers(pixels).heat.shape[1:] and heat.min() >= 0 and heat.max() <= 1
    assert entry["nearest"] is None  # outside of a project


# Each way in which a request can be wrong: what is sent, and the status, the title and the detail of the answer.
JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=x"}
FILE = '--x\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\na\r\n'
CUT = FILE + FILE
NAMELESS = FILE + '--x\r\nContent-Disposition: form-data; name=""\r\n\r\na\r\n--x--\r\n'
WRONG = [
    (("GET", "/nothing", {}), 404, "Not Found", "nothing is at /nothing: GET /openapi.json lists"),
    (("GET", "/../etc/passwd", {}), 404, "Not Found", "nothing is at"),
    (("GET", "/predict", {}), 405, "Method Not Allowed", "/predict takes POST, not GET"),
    (("DELETE", "/", {}), 405, "Method Not Allowed", "/ takes GET, not DELETE"),
    (("POST", "/predict", {}), 415, "Unsupported Media Type", "got no type; takes multipart/form-data ("),
    (("POST", "/predict", {"data": {"a": 1}}), 415, "Unsupported Media Type", "got application/x-www-form-urlencoded"),
    (("POST", "/predict", {"data": "{", "headers": JSON}), 422, "Unprocessable Content", "the body: Invalid JSON"),
    (("POST", "/predict", {"data": "[" * 9999, "headers": JSON}), 422, "Unprocessable Content", "the body: Invalid"),
    (("POST", "/predict", {"json": {"images": []}}), 422, "Unprocessable Content", "images: List should have at least"),
    (("POST", "/predict", {"json": {"image": "x"}}), 422, "Unprocessable Content", "images: Field required"),
    (("POST", "/predict", {"json": {"images": [{"base64": 1}]}}), 422, "Unprocessable Content", "images.0.base64: "),
    (("POST", "/predict?explain=2", {"files": form(b"")}), 422, "Unprocessable Content", "query.explain: "),
    (("POST", "/predict", {"data": "abc", "headers": FORM}), 400, "Bad Request", "no multipart/form-data: "),
    (("POST", "/predict", {"files": {"a": (None, "b")}}), 422, "Unprocessable Content", "no file in it: curl -F"),
    (
        ("POST", "/predict", {"files": {"b": ("b", b"b"), "a": (None, "b")}}),
        422,
        "Unprocessable Content",
        "a: got a text",
    ),
    (("POST", "/predict", {"data": NAMELESS, "headers": FORM}), 422, "Unprocessable Content", ": got a text; takes"),
    (
        ("POST", "/predict", {"data": CUT, "headers": FORM}),
        400,
        "Bad Request",
        "no multipart/form-data: it ends before",
    ),
    (
        ("POST", "/predict", {"json": [[]] * 40000}),
        413,
        "Content Too Large",
        "got a JSON with 80,000 commas, colons and brackets, more",
    ),
    (("POST", "/predict", {"files": form(*[b"a"] * 7)}), 413, "Content Too Large", "got more than 6 files; a request"),
    (("POST", "/predict", {"json": in_json(*[b"a"] * 7)}), 413, "Content Too Large", "got 7 files; a request may"),
    (
        ("POST", "/predict", {"json": in_json(*[b"a"] * 1001)}),
        413,
        "Content Too Large",
        "got more than 6",
    ),
    (("POST", "/predict", {"files": form(bytes(2**20))}), 413, "Content Too Large", "a request may have 1 MB"),
    (("POST", "/corrections", {"files": form(b"a")}), 404, "Not Found", "nothing is at /corrections"),
]


@pytest.mark.parametrize(("request_", "status", "title", "detail"), WRONG)
def test_every_error_is_a_problem_by_rfc_9457(server, request_, status, title, detail):
    import requests

    method, path, options = request_
    answer = requests.request(method, server.address + path, timeout=30, **options)
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert problem.items() >= {"type": "about:blank", "title": title, "status": status}.items()
    assert problem["detail"].startswith(detail), problem
    assert "Traceback" not in answer.text


def test_what_is_sent_in_pieces_is_counted_while_it_comes(server):
    def pieces():
        yield b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\n'
        for _ in range(40):
            yield bytes(2**16)

    before = server.number("headstart_errors_total")
    answer = server.post(data=pieces(), headers=FORM)
    assert (answer.status_code, answer.json()["title"]) == (413, "Content Too Large")
    assert server.number("headstart_errors_total") == before + 1


def test_it_says_which_classifier_it_is(server, classifier):
    model = server.get("/model").json()
    assert model["classes"] == list(classifier.classes) and model["size"] == 8
    assert model["sha256"] == classifier.sha256 and model["corrections"] is False
    assert model["unsure"] is True and model["unlike"] is True and model["limits"]["files"] == 6


def test_health_and_readiness(server):
    assert server.get("/healthz").json() == {"status": "ok"}
    assert server.get("/readyz").json() == {"status": "ready"}


def test_the_examples_of_its_own_description_work(server):
    document = server.get("/openapi.json").json()
    paths = document["paths"]
    assert set(paths) == {"/predict", "/model", "/metrics", "/healthz", "/readyz"}
    body = paths["/predict"]["post"]["requestBody"]["content"]
    assert set(body) == {"multipart/form-data", "application/json"}
    (example,) = body["application/json"]["schema"]["examples"]
    (entry,) = server.post(json=example).json()["images"]
    answers = document["components"]["schemas"]
    assert set(entry) <= set(answers["Entry"]["properties"])
    shown = answers["Predictions"]["examples"][0]["images"]
    assert set(shown[0]) == set(entry)
    assert set(paths["/predict"]["post"]["responses"]) >= {"200", "413", "415", "422", "503", "504"}
    assert PROBLEM in paths["/predict"]["post"]["responses"]["503"]["content"]


def test_prometheus_can_read_its_numbers(server):
    before = server.number("headstart_images_total")
    server.post(files=form(photo(1), b"no image"))
    text = server.get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {f"headstart_{name}" for name in ("requests", "request_seconds", "queue_images", "batch_images")} <= set(
        families
    )
    assert server.number("headstart_images_total") == before + 1
    kinds = {sample.labels["kind"] for sample in families["headstart_errors"].samples}
    assert "unreadable_image" in kinds
    server.get("/made/up/by/somebody")
    labels = {sample.labels["path"] for sample in families["headstart_requests"].samples}
    assert "other" in labels and not any("made" in label for label in labels)


def test_the_page_loads_nothing_from_elsewhere(server):
    answer = server.get("/")
    assert answer.headers["content-type"].startswith("text/html") and "http" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for path in ("/serve.js", "/serve.css", "/page.css"):
        assert server.get(path).status_code == 200
