import numpy as np
import pytest
from PIL import Image

from headstart.labels import contact_sheet

COLOURS = {"red": (200, 0, 0), "blue": (0, 0, 200)}


def read(name):
    return np.full((30, 60, 3), COLOURS[name], np.uint8)


@pytest.mark.parametrize("sets", [[], [["red", "blue"]], [["red", "blue"], ["red"] * 9], [["red", "red"]] * 90])
def test_each_set_has_a_row(tmp_path, sets):
    contact_sheet.draw(tmp_path / "sheet.png", sets, read)
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    rows = min(len(sets), contact_sheet.MOST)
    assert pixels.shape[0] == 40 + rows * 102
    reds = (pixels == COLOURS["red"]).all(axis=2)
    middles = [40 + row * 102 + 48 for row in range(rows)]
    assert all(reds[middle].sum() >= 96 for middle in middles)
    assert reds.any() == bool(sets)


def test_sets_of_several_classes_come_first_with_their_names_in_red(tmp_path):
    sets = [["red", "red"]] * 60 + [["blue", "red"]]
    contact_sheet.draw(tmp_path / "sheet.png", sets, read, {"red": "ripe", "blue": "划痕"})
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    high = contact_sheet.SIDE + contact_sheet.GAP + contact_sheet.LINE
    first, second = (pixels[40 + row * high : 40 + (row + 1) * high] for row in (0, 1))
    assert (first == COLOURS["blue"]).all(axis=2).any() and not (second == COLOURS["blue"]).all(axis=2).any()
    below = [set_[contact_sheet.SIDE : contact_sheet.SIDE + contact_sheet.LINE].astype(int) for set_ in (first, second)]
    red, black = ((text[..., 0] - text[..., 1] > 60).any() for text in below)
    assert red and not black
