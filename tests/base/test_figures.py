import numpy as np
from PIL import Image

from headstart.base import figures


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
