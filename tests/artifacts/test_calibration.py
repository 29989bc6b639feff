import json

import pytest

from headstart.artifacts import calibration
from headstart.base.errors import UserError

FEW = calibration.SetOn("recall", "melanoma", 0.95, 5, 19)


def test_too_few_images_to_set_a_threshold_on_are_said(tmp_path):
    (tmp_path / "metrics").mkdir()
    calibration.write({"images": 200, "set_on": FEW._asdict()}, tmp_path)
    assert calibration.set_on(tmp_path).warning() == (
        "a recall of 0.95 takes 19 images of melanoma to set it on: there are 5; add some, or lower decision.at_least"
    )
    assert "19 images called melanoma" in FEW._replace(goal="precision").warning()
    assert FEW._replace(images=19).warning() is None
    assert "there are 60 in 3 groups; add some" in FEW._replace(images=60, groups=3).warning()


@pytest.mark.parametrize("content", [None, "{}", '{"reached": null}'])
def test_without_a_threshold_there_is_nothing_to_say(tmp_path, content):
    if content is not None:
        (tmp_path / "metrics").mkdir()
        (tmp_path / calibration.CALIBRATION).write_text(content)
    assert calibration.set_on(tmp_path) is None


@pytest.mark.parametrize("content", ["", "[]", "\xff", json.dumps({"set_on": 5}), json.dumps({"set_on": {"of": "x"}})])
def test_a_damaged_file_is_one_line(tmp_path, content):
    (tmp_path / "metrics").mkdir()
    (tmp_path / calibration.CALIBRATION).write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"metrics/calibration\.json is not what the stage calibrate writes: run `dvc"):
        calibration.set_on(tmp_path)
