"""Who may ask."""

import pytest
from running import form, load_classifier, photo, running

from headstart.serving import app
from headstart.serving.guard import Access

TOKEN = "sesam öffne dich"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return load_classifier(tmp_path_factory.mktemp("access") / "classifier.keras")


@pytest.fixture(scope="module")
def server(classifier):
    with running(classifier, access=Access(names=("photos.example.org",))) as server:
        yield server


@pytest.fixture(scope="module")
def guarded(classifier):
    with running(classifier, access=Access(TOKEN, open=tuple(app.PAGE))) as server:
        yield server


def bearer(token):
    return {"Authorization": b"Bearer " + token.encode()}


@pytest.mark.parametrize("path", ["/", "/serve.js", "/healthz", "/readyz"])
def test_page_and_probes_take_no_token(guarded, path):
    assert guarded.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/model", "/metrics", "/openapi.json", "/nothing", "//", "/serve.js/", "/HEALTHZ"])
def test_all_else_takes_it(guarded, path):
    answer = guarded.get(path)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["title"] == "Unauthorized" and TOKEN not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        bearer(TOKEN[:-1]),
        bearer(TOKEN + "x"),
        bearer(TOKEN.upper()),
        {"Authorization": b"Basic " + TOKEN.encode()},
        {"Authorization": b"\xff\xfe"},
        {"X-Token": "x"},
    ],
)
def test_without_the_token_nothing_is_classified(guarded, headers):
    before = guarded.service.counts.images._value.get()
    assert guarded.post(files=form(photo()), headers=headers).status_code == 401
    assert guarded.service.counts.images._value.get() == before


def test_with_the_token_it_is(guarded):
    for scheme in (b"Bearer ", b"bearer "):
        headers = {"Authorization": scheme + TOKEN.encode()}
        assert guarded.post(files=form(photo()), headers=headers).status_code == 200
    assert "securitySchemes" in guarded.get("/openapi.json", headers=bearer(TOKEN)).text


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:1", "[::1]:8000", "192.168.1.7:8000", "Photos.Example.org:80"]
)
def test_hosts_that_are_ours(server, host):
    assert server.get("/model", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example.org", "localhost.evil.org:8000", "127.0.0.1.evil.org", "", "[::1", "a b"]
)
def test_a_name_that_leads_here_from_elsewhere_is_refused(server, host):
    answer = server.get("/model", headers={"Host": host})
    assert (answer.status_code, answer.json()["title"]) == (421, "Misdirected Request")
    assert server.get("/healthz", headers={"Host": host}).status_code == 200


def test_with_a_token_the_name_does_not_matter(guarded):
    assert guarded.get("/model", headers=bearer(TOKEN) | {"Host": "photos.example.org"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example.org"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost:{port}"},
        {"Origin": "x"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "{address}"},
    ],
)
def test_pages_of_other_sites_send_nothing(server, headers):
    given = {name: value.format(port=server.port, address=server.address) for name, value in headers.items()}
    answer = server.post(files=form(photo()), headers=given)
    assert (answer.status_code, answer.json()["title"]) == (403, "Forbidden")


def test_its_own_page_and_programs_do(server):
    for headers in ({}, {"Origin": server.address}, {"Origin": server.address, "Sec-Fetch-Site": "same-origin"}):
        assert server.post(files=form(photo()), headers=headers).status_code == 200


def test_no_other_site_is_told_that_it_may_read(server):
    headers = {"Origin": "https://evil.example.org"}
    assert "access-control-allow-origin" not in server.get("/model", headers=headers).headers
    asked = headers | {"Access-Control-Request-Method": "POST"}
    import requests

    assert requests.options(server.address + "/predict", headers=asked, timeout=9).status_code == 405
