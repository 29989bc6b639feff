import pytest

from headstart.base import credentials

LOGIN = [
    "https://anna:geheim@host/x.zip",
    "https://geheim@host/x",
    "https://u:ge/heim@host/x",
    "s3://key:geheim@bucket/x",
]
LOGIN += ["https://u:p?geheim@host/x", "ftp://a:geheim@[::1]/x"]
QUERY = [
    "https://host/x.zip?token=geheim",
    "https://host/x?a=1&X-Amz-Signature=geheim",
    "https://host/x?sig=geheim&b=2",
]
NONE = [
    "https://host/x.zip",
    "https://host:8080/@scope/x",
    "https://[::1]:80/x",
    "https://host",
    "pypi:a==1",
    "a@b:c.zip",
]
NONE += ["https://host/x?mail=a@b", "s3://bucket/a:b@c", "imagenet", "data/raw/x?token=1"]


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
