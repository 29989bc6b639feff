import warnings

import pytest
from PIL import Image

from headstart.base import pictures


@pytest.mark.parametrize("error", [ValueError("two\nlines"), MemoryError(), OSError("gone")])
def test_a_picture_that_fails_is_one_line_and_an_almost_empty_picture(tmp_path, capsys, error):
    def draw(path):
        raise error

    path = tmp_path / "new/picture.png"
    pictures.attempt(path, draw)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{path} could not be drawn ({type(error).__name__}")
    with Image.open(path) as image:
        assert image.format == "PNG"
    before = path.read_bytes()
    pictures.attempt(path, draw)
    assert path.read_bytes() == before


def test_a_picture_is_drawn_without_its_warnings_and_an_interrupt_still_ends_the_run(tmp_path, recwarn):
    def warn(path):
        warnings.warn("Glyph 21010 missing", stacklevel=1)

    pictures.attempt(tmp_path / "picture.png", warn)
    assert not recwarn.list

    def interrupt(path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pictures.attempt(tmp_path / "picture.png", interrupt)
