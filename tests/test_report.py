import pytest

from headstart import report
from headstart.artifacts import results
from headstart.base.errors import UserError

SCORE = {"accuracy": 0.9024, "accuracy_low": 0.8772, "accuracy_high": 0.9229, "roc_auc": 0.9561, "loss": 0.2512}
SCORE |= {"average_precision": 0.9}
PAIR = {"only_head": 5, "only_fine_tuned": 12, "both": 500, "neither": 20, "p": 0.143463}
AVERAGING = {"only_fine_tuned": 1, "only_averaged": 4, "both": 500, "neither": 20, "p": 0.375}
FINE_TUNED = {"head": SCORE, "fine_tuned": SCORE | {"accuracy": 0.9999}}


@pytest.fixture
def shown(tmp_path, monkeypatch, capsys):
    """A function that gives what the report prints of some results."""
    monkeypatch.chdir(tmp_path)

    def text(scores, mcnemar):
        results.write(results.Results(1656, scores, mcnemar))
        report.main()
        return capsys.readouterr().out

    return text


def test_the_table_fits_eighty_columns_and_says_what_counts(shown):
    text = shown(FINE_TUNED, {"fine_tuning": PAIR})
    assert max(map(len, text.splitlines())) <= 80
    for words in ("1,656 test images", "0.9024", "0.8772 – 0.9229", "0.9561", "0.2512", "0.9999"):
        assert words in text
    assert (
        "The fine-tuned model is right on 12 images that the head gets wrong, and wrong on 5 that it gets right: "
        "p = 0.14 (McNemar)."
    ) in " ".join(text.split())
    for path in (results.PICTURE, results.WRONG, results.RIGHT, "metrics/predictions.csv"):
        assert str(path) in text
    assert "classifier (fine-tuned)  models/classifier.keras" in text
    assert "averag" not in text


def test_the_average_over_flips_has_its_row_and_its_sentence(shown):
    scores = FINE_TUNED | {"averaged": SCORE | {"accuracy": 0.7777}}
    text = shown(scores, {"fine_tuning": PAIR, "averaging": AVERAGING})
    assert max(map(len, text.splitlines())) <= 80
    rows = [line for line in text.splitlines() if line.startswith("│")]
    assert [row.split("│")[1].strip() for row in rows] == ["head alone", "fine-tuned", "averaged over flips"]
    assert "0.7777" in rows[2]
    assert (
        "The average over flips is right on 4 images that one look gets wrong, and wrong on 1 that it gets right: "
        "p = 0.38 (McNemar)."
    ) in " ".join(text.split())
    assert "classifier (averaged over flips)  models/classifier.keras" in text


def test_a_score_that_is_not_defined(shown):
    text = shown(FINE_TUNED | {"head": SCORE | {"roc_auc": None}}, {"fine_tuning": PAIR})
    row = next(line for line in text.splitlines() if "head alone" in line)
    assert "None" not in text and row.split("│")[4].strip() == "–"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"only_fine_tuned": 1}, "right on 1 image that"),
        ({"only_fine_tuned": 0, "only_head": 0, "p": 1.0}, "right and wrong on the same images as the head"),
        ({"p": 0.0}, "p < 0.0001"),
    ],
)
def test_mcnemar_in_words(changes, words):
    assert words in report.sentence("fine_tuning", PAIR | changes)


def test_without_a_run_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no metrics/test\.json here.*dvc repro"):
        report.main()


def test_where_fine_tuning_was_no_better_the_report_says_that_the_head_is_delivered(shown):
    text = shown({"head": SCORE}, {})
    assert "the classifier is the head" in text and "classifier (head alone)" in text
    averaging = {"only_head": 1, "only_head_averaged": 4, "both": 500, "neither": 20, "p": 0.375}
    text = shown({"head": SCORE, "head_averaged": SCORE}, {"head_averaging": averaging})
    assert "the classifier is the head" in text and "classifier (head averaged over flips)" in text
    assert "The average over flips is right on 4 images that one look gets wrong" in " ".join(text.split())
    assert "the classifier is the head" not in shown(FINE_TUNED, {"fine_tuning": PAIR})
