import pytest

from headstart.base.errors import UserError
from headstart.cluster import where
from headstart.cluster.where import Place


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch):
    for name in (where.RAY, where.WORKERS, where.CORES, where.GPUS):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("set_", "place"),
    [
        ({}, None),
        ({where.RAY: ""}, None),
        ({where.RAY: "local"}, Place("local", None, 2, 0)),
        ({where.RAY: "auto", where.WORKERS: "3", where.CORES: "1"}, Place("auto", 3, 1, 0)),
        ({where.RAY: "ray://head:10001", where.GPUS: "0.5"}, Place("ray://head:10001", None, 2, 0.5)),
    ],
)
def test_where_the_work_runs_comes_from_the_environment(set_, place, monkeypatch):
    for name, value in set_.items():
        monkeypatch.setenv(name, value)
    assert where.of_environment() == place


@pytest.mark.parametrize(
    ("set_", "message"),
    [
        ({where.RAY: "yes"}, "HEADSTART_RAY: got yes; takes local, auto or ray://HOST:10001"),
        ({where.RAY: "ray://"}, "HEADSTART_RAY: got ray://; takes local"),
        ({where.RAY: "local", where.WORKERS: "0"}, "HEADSTART_RAY_WORKERS: got 0; takes a whole number from 1 on"),
        ({where.RAY: "local", where.CORES: "two"}, "HEADSTART_RAY_CORES: got two; takes a whole number from 1 on"),
        ({where.RAY: "local", where.GPUS: "nan"}, "HEADSTART_RAY_GPUS: got nan; takes a number from 0 on"),
        ({where.CORES: "1"}, "HEADSTART_RAY_CORES is set, but HEADSTART_RAY is not"),
    ],
)
def test_what_makes_no_sense_is_one_line(set_, message, monkeypatch):
    for name, value in set_.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=f"^{message}") as error:
        where.of_environment()
    assert "\n" not in str(error.value)
