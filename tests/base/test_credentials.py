import pytest

from headstart.base import credentials

LOGIN = [
    "https://anna:geheim@host/x.zip",
    "https://geheim@host/x",
    "https://u:ge/heim@host/x",
    "s3://key:geheim@bucket/x",
]
LOGIN += ["ssh://u:ein geheim@host/x", "https://u:p?geheim@host/x", "ftp://a:geheim@[::1]/x"]
QUERY = [
    "https://host/x.zip?token=geheim",
    "https://host/x?a=1&X-Amz-Signature=geheim",
    "https://host/x?sig=geheim&b=2",
    *(
        f"https://host/x?{name}=geheim"
        for name in ("key", "KEY", "code", "apikey", "api-key", "x_token", "clientSecret")
    ),
    *(f"https://host/x?a=1&{name}=geheim" for name in ("x-goog-algorithm", "AWSAccessKeyId", "subscription-key")),
]
NONE = [
    "https://host/x.zip",
    "https://host:8080/@scope/x",
    "https://[::1]:80/x",
    "https://host",
    "pypi:a==1",
    "a@b:c.zip",
]
NONE += ["https://host/x?monkey=3&language_code=de&design=1"]
NONE += ["https://host/x?mail=a@b", "s3://bucket/a:b@c", "imagenet"]


@pytest.mark.parametrize("address", LOGIN)
def test_a_login_is_found_and_hidden(address):
    assert credentials.where(address) == "login"
    assert "geheim" not in credentials.hidden(f'dataset.source: got "{address}"; takes …')


@pytest.mark.parametrize("address", QUERY)
def test_a_token_is_found_and_hidden(address):
    assert credentials.where(address) == "query"
    hidden = credentials.hidden(address)
    assert "geheim" not in hidden and hidden.startswith("https://host/x") and hidden.count("…") == 1


@pytest.mark.parametrize("address", NONE)
def test_other_addresses_have_none_and_are_shown_as_they_are(address):
    assert credentials.where(address) is None
    assert credentials.hidden(address) == address


def test_a_password_without_the_rest_of_the_address_is_hidden():
    assert credentials.hidden("got https://anna:geheim; takes") == "got https://… takes"


@pytest.mark.parametrize("address", ["u:geheim@host:/x", "//u:geheim@host/x", "u:ein geheim/@@host:/x", *LOGIN, *QUERY])
def test_one_address_is_shown_without_its_password(address):
    assert "geheim" not in credentials.shown(address)


@pytest.mark.parametrize("address", NONE)
def test_one_address_without_a_password_is_shown_as_it_is(address):
    assert credentials.shown(address) == address


def test_what_requests_says_of_an_address_is_hidden_and_a_local_file_has_no_credentials():
    assert credentials.hidden("exceeded with url: /x?Signature=geheim (Caused by") == (
        "exceeded with url: /x?Signature=… (Caused by"
    )
    assert credentials.where("data/raw/x?token=1") is None
