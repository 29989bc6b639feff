import warnings

import numpy as np
import pytest
from PIL import Image

from headstart.evaluation import figures


def test_a_figure_has_its_size_and_the_same_drawing_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        figure = figures.empty(3, 2)
        figure.subplots().plot([1, 2])
        figures.save(figure, tmp_path / "new" / f"{name}.png")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.png", "b.png"]
    assert (tmp_path / "new/a.png").read_bytes() == (tmp_path / "new/b.png").read_bytes()
    with Image.open(tmp_path / "new/a.png") as image:
        assert (image.format, image.size) == ("PNG", (300, 200))
        assert "Software" not in image.info
        pixels = np.asarray(image.convert("RGB"))
    assert pixels[0, 0].tolist() == [255, 255, 255] and pixels.min() < 128


@pytest.mark.parametrize("error", [ValueError("two\nlines"), MemoryError(), OSError("gone")])
def test_a_picture_that_fails_is_one_line_and_an_almost_empty_picture(tmp_path, capsys, error):
    def draw(path):
        raise error

    path = tmp_path / "new/picture.png"
    figures.attempt(path, draw)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{path} could not be drawn ({type(error).__name__}")
    with Image.open(path) as image:
        assert image.format == "PNG"
    before = path.read_bytes()
    figures.attempt(path, draw)
    assert path.read_bytes() == before


def test_a_picture_is_drawn_without_its_warnings_and_an_interrupt_still_ends_the_run(tmp_path, recwarn):
    def warn(path):
        warnings.warn("Glyph 21010 missing", stacklevel=1)

    figures.attempt(tmp_path / "picture.png", warn)
    assert not recwarn.list

    def interrupt(path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        figures.attempt(tmp_path / "picture.png", interrupt)
