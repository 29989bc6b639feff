import json

import pytest

from headstart.artifacts import results
from headstart.base.errors import UserError

SCORE = dict.fromkeys(results.SCORES, 0.5) | {"roc_auc": None}
FINE_TUNING = {"only_head": 1, "only_fine_tuned": 2, "both": 3, "neither": 4, "p": 1.0}
AVERAGING = {"only_fine_tuned": 1, "only_averaged": 2, "both": 3, "neither": 4, "p": 1.0}
BOTH = {"images": 10, "head": SCORE, "fine_tuned": SCORE, "mcnemar": {"fine_tuning": FINE_TUNING}}
RECALL = {"goal": "recall", "of": "a", "threshold": 0.3, "recall": 0.9, "recall_low": 0.8, "recall_high": 0.95}
RECALL |= {"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95}
# As version 0.1.0 wrote it, where `fine_tuned` was the average over flips.
OLD = BOTH | {"mcnemar": FINE_TUNING}


def test_what_is_written_is_read_and_the_last_model_is_delivered(tmp_path):
    two = results.Results(10, {"head": SCORE, "fine_tuned": SCORE}, {"fine_tuning": FINE_TUNING})
    three = results.Results(10, two.scores | {"averaged": SCORE}, two.mcnemar | {"averaging": AVERAGING})
    for measured, delivered in ((two, "fine_tuned"), (three, "averaged")):
        results.write(measured, tmp_path)
        assert results.read(tmp_path) == measured
        assert list(results.read(tmp_path).scores) == list(measured.scores)
        assert measured.delivered == delivered
    content = json.loads((tmp_path / results.TEST).read_text())
    assert sorted(content) == ["averaged", "fine_tuned", "head", "images", "mcnemar"]
    assert content["mcnemar"] == {"fine_tuning": FINE_TUNING, "averaging": AVERAGING}


def test_the_numbers_of_classes_are_lists_which_dvc_leaves_out_of_its_metrics(tmp_path):
    rest = {"predicted": 2, "precision": 0.5, "average_precision": None}
    by_class = {name: {"images": 2, "recall": None} | rest for name in ("划痕", 'e "f"')}
    score = SCORE | {"per_class": by_class, "confusion_matrix": [[1, 1], [0, 2]]}
    results.write(results.Results(4, {"head": score}, {}), tmp_path)
    assert results.read(tmp_path).scores["head"] == score
    text = (tmp_path / results.TEST).read_text(encoding="utf-8")
    assert json.loads(text)["head"]["per_class"][0] == {"class": "划痕", "images": 2, "recall": None} | rest
    assert '      {"class": "划痕", "images": 2, "recall": null, "predicted": 2, ' in text and "      [1, 1],\n" in text


def test_a_number_that_json_does_not_have_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        results.write(results.Results(1, {"head": SCORE | {"loss": float("nan")}}, {}), tmp_path)
    assert not (tmp_path / results.TEST).exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not valid JSON"),
        ("[]", "is not what the stage evaluate writes"),
        ("{}", "is not what the stage evaluate writes"),
        ("1", "is not what the stage evaluate writes"),
        ('{"head": 1}', "is not what the stage evaluate writes"),
        (json.dumps(BOTH | {"head": 1}), "is not what the stage evaluate writes"),
        (json.dumps(BOTH | {"head": {"accuracy": 1}}), r"lacks head\.accuracy_low, "),
        (json.dumps({name: BOTH[name] for name in ("fine_tuned", "images", "mcnemar")}), "lacks head"),
        (json.dumps(BOTH | {"averaged": SCORE}), "averaging"),
        (json.dumps(BOTH | {"images": None}), "images is null"),
        (json.dumps(BOTH | {"images": 0}), "is of no images"),
        (json.dumps(BOTH | {"mcnemar": 3}), "mcnemar is 3"),
        (json.dumps(BOTH | {"fine_tuned": SCORE | {"accuracy": "0.9"}}), r'fine_tuned\.accuracy is "0\.9"'),
        (json.dumps(BOTH | {"head": SCORE | {"per_class": [{"class": "a"}]}}), "lacks "),
        (json.dumps(BOTH | {"calibration": {"before": {"ece": 0.1}}}), r"lacks calibration\.after"),
        (json.dumps(BOTH | {"unlike": []}), r"unlike is \[\]"),
        (json.dumps(BOTH | {"decision": RECALL | {"of": None}}), r"decision\.of is null"),
        (json.dumps(BOTH | {"decision": RECALL | {"recall_low": None}}), r"decision\.recall_low is null"),
        (json.dumps(BOTH).replace("0.5", "NaN", 1), "NaN is no number"),
        (json.dumps(BOTH).replace("0.5", "1e999", 1), "1e999 is no number"),
        (json.dumps(BOTH).replace("0.5", "1e308", 1), r"head\.accuracy is 1e\+308, which is not from 0 to 1"),
        (json.dumps(BOTH | {"images": -3}), "images is -3, which is not from 0 to "),
        (json.dumps(BOTH | {"head": SCORE | {"loss": -0.1}}), r"head\.loss is -0\.1, which is not from 0 to "),
        (json.dumps(BOTH | {"head": SCORE | {"loss": 10**400}}), r"head\.loss is 10+…, which is not from 0 to "),
        (
            json.dumps(BOTH | {"decision": RECALL | {"recall_high": 95}}),
            r"decision\.recall_high is 95, which is not fr",
        ),
        (json.dumps(BOTH | {"unlike": {"share": -1, "share_low": 0, "share_high": 1}}), r"unlike\.share is -1, which"),
        (json.dumps(BOTH | {"mcnemar": {"fine_tuning": FINE_TUNING | {"p": 2}}}), r"fine_tuning\.p is 2, which is not"),
        (json.dumps(OLD), "is in the form of an earlier version of Headstart"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_one_line(tmp_path, text, reason):
    (tmp_path / "metrics").mkdir()
    (tmp_path / results.TEST).write_text(text)
    with pytest.raises(UserError, match=rf"^metrics/test\.json .*{reason}.*: run `dvc repro`$"):
        results.read(tmp_path)


def test_what_the_page_shows_is_wanted_by_the_page_alone(tmp_path):
    results.write(results.Results(10, {"head": SCORE}, {}, {"decision": RECALL}), tmp_path)
    assert results.read(tmp_path).by_rule
    with pytest.raises(UserError, match=r"lacks calibration, reliability, fragility\): run `dvc repro`$"):
        results.read(tmp_path, whole=True)


def test_a_run_that_delivers_the_head_has_no_fine_tuned_model(tmp_path):
    for scores in ({"head": SCORE}, {"head": SCORE, "head_averaged": SCORE}):
        pairs = {"head_averaging": {"only_head": 1, "only_head_averaged": 1, "p": 1.0}} if len(scores) == 2 else {}
        results.write(results.Results(10, scores, pairs), tmp_path)
        assert results.read(tmp_path) == results.Results(10, scores, pairs)
        assert results.read(tmp_path).delivered == list(scores)[-1]


def test_without_a_run_one_line_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"no metrics/test\.json here: run `dvc repro`"):
        results.read(tmp_path)
