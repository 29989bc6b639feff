import pytest

from headstart.artifacts import calibration
from headstart.base.errors import UserError

FEW = calibration.SetOn("recall", "melanoma", 0.95, 5, 19)
COVERAGE = {"wanted": 0.95, "needed": 19}


def said(tmp_path, of="melanoma", **found):
    (tmp_path / "metrics").mkdir(exist_ok=True)
    calibration.write(found, tmp_path)
    return calibration.warnings(calibration.read(tmp_path), of)


def test_too_few_images_to_set_a_threshold_on_are_said(tmp_path):
    assert said(tmp_path, images=200, set_on=FEW._asdict()) == [
        "a recall of 0.95 takes 19 images of melanoma to set it on: there are 5; add some, or lower decision.at_least"
    ]
    assert "19 images called melanoma" in FEW._replace(goal="precision").warning()
    assert FEW._replace(images=19).warning() is None
    assert "there are 60 in 3 groups; add some" in FEW._replace(images=60, groups=3).warning()
    assert said(tmp_path, "nevus", images=200, set_on=FEW._asdict()) == []


def test_what_is_not_reached_is_said(tmp_path):
    enough = FEW._replace(images=50)._asdict()
    assert said(tmp_path, images=200, set_on=enough, reached=0.95) == []
    assert said(tmp_path, images=200, set_on=enough, reached=0.75) == [
        "on the images by which it was set a recall of 0.750 is all that is reached"
    ]


@pytest.mark.parametrize(("images", "groups"), [(19, 19), (200, 20), (200, None)])
def test_enough_images_for_a_coverage_are_nothing_to_say(tmp_path, images, groups):
    known = {} if groups is None else {"groups": groups}
    assert said(tmp_path, images=images, coverage=COVERAGE, **known) == []


def test_a_coverage_that_takes_more_images_or_groups_is_said(tmp_path):
    assert said(tmp_path, images=12, groups=12, coverage=COVERAGE) == [
        "a decision.coverage of 0.95 takes 19 images that were not trained on: there are 12, and every class remains "
        "possible; add some, or lower it"
    ]
    assert said(tmp_path, None, images=200, groups=7, coverage=COVERAGE) == [
        "a decision.coverage of 0.95 takes 19 groups of images that were not trained on, not 7: nothing is promised of "
        "new groups; add some, or lower it"
    ]


@pytest.mark.parametrize("content", ["{}", '{"reached": null}'])
def test_without_a_threshold_there_is_nothing_to_say(tmp_path, content):
    (tmp_path / "metrics").mkdir()
    (tmp_path / calibration.CALIBRATION).write_text(content)
    assert calibration.warnings(calibration.read(tmp_path), "melanoma") == []


DAMAGED = ["", "[]", "null", "\xff", '{"set_on": 5}', '{"set_on": {"of": "x"}}', '{"groups": "3"}', '{"images": -1}']
DAMAGED += ['{"reached": 1e308}', '{"coverage": {"wanted": 95, "needed": 19}}', '{"else": 1e999}']


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_is_one_line(tmp_path, content):
    (tmp_path / "metrics").mkdir()
    (tmp_path / calibration.CALIBRATION).write_bytes(content.encode("latin-1"))
    again = "run `dvc repro --force --single-item calibrate`$"
    with pytest.raises(UserError, match=rf"metrics/calibration\.json is damaged \(.*\): {again}"):
        calibration.read(tmp_path)
