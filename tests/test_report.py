import json

import pytest

from headstart import report
from headstart.errors import UserError

SCORE = {"accuracy": 0.9024, "accuracy_low": 0.8772, "accuracy_high": 0.9229, "roc_auc": 0.9561, "loss": 0.2512}
PAIR = {"only_head": 5, "only_fine_tuned": 12, "both": 500, "neither": 20, "p": 0.143463}


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metrics").mkdir()

    def write(**changes):
        result = {"head": SCORE, "fine_tuned": SCORE | {"accuracy": 0.9999}, "mcnemar": PAIR, "images": 1656}
        report.TEST.write_text(json.dumps(result | changes))

    return write


def test_the_table_fits_eighty_columns_and_says_what_counts(written, capsys):
    written()
    report.main()
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for words in (
        "1,656 test images",
        "0.9024",
        "0.8772 – 0.9229",
        "0.9561",
        "0.2512",
        "0.9999",
        "metrics/galleries/wrong.png",
    ):
        assert words in text
    assert "right on 12 images that the head gets wrong, and wrong on 5 that it gets right: p = 0.14" in " ".join(
        text.split()
    )


def test_a_score_that_is_not_defined(written, capsys):
    written(head=SCORE | {"roc_auc": None})
    report.main()
    assert "None" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"only_fine_tuned": 1}, "right on 1 image that"),
        ({"only_fine_tuned": 0, "only_head": 0, "p": 1.0}, "right and wrong on the same images"),
        ({"p": 0.0}, "p < 0.0001"),
    ],
)
def test_mcnemar_in_words(changes, words):
    assert words in report.in_words(PAIR | changes)


def test_without_a_run_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no metrics/test\.json here.*dvc repro"):
        report.main()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"head": 1}'])
def test_a_file_of_another_kind(written, text):
    written()
    report.TEST.write_text(text)
    with pytest.raises(UserError, match=r"metrics/test\.json.*dvc repro"):
        report.main()
