import pytest

from headstart.artifacts import calibration
from headstart.artifacts.results import Results
from headstart.page import notes


@pytest.mark.parametrize(("of", "images", "warned"), [("bad", 5, True), ("bad", 19, False), ("good", 5, False)])
def test_a_recall_that_few_images_set_is_a_warning(tmp_path, monkeypatch, of, images, warned):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metrics").mkdir()
    calibration.write({"set_on": calibration.SetOn("recall", of, 0.95, images, 19)._asdict()})
    measured = Results(100, {"head": {"accuracy": 0.9}}, {}, {"decision": {"goal": "recall", "of": "bad"}})
    said = [line for line in notes.warnings(measured) if "decision.at_least" in line]
    assert said == ["A recall of 0.95 takes 19 images of bad to set it on: there are 5; add some, or lower "
                    "decision.at_least."] * warned  # fmt: skip
    assert not notes.warnings(Results(100, {"head": {"accuracy": 0.9}}, {}, {"decision": {"goal": "accuracy"}}))
