import matplotlib
import pytest
from matplotlib import font_manager

from headstart.evaluation import lettering
from headstart.evaluation.lettering import Lettering

CHINESE, ARABIC = "划痕", "خدش"


@pytest.fixture
def dejavu_alone(monkeypatch):
    """A machine with the fonts that matplotlib brings."""
    own = [font for font in font_manager.fontManager.ttflist if font.fname.startswith(matplotlib.get_data_path())]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    lettering._families.cache_clear()
    yield
    lettering._families.cache_clear()


def test_names_that_a_font_has_are_shown_as_they_are(dejavu_alone):
    names = ["cats", ARABIC, "käfer", "Ω", "$x_$", "a\nb"]
    shown = Lettering(names)
    assert (shown.shown, shown.substituted, shown.note()) == (names, [], None)
    assert shown.families[0] == "DejaVu Sans"


def test_names_that_no_font_has_are_transliterated_and_that_is_said(dejavu_alone):
    shown = Lettering(["cats", CHINESE, ARABIC, "정상", "\U000e0fff"])
    assert shown.shown == ["cats", "HuaHen", ARABIC, "JeongSang", "class 5"]
    assert shown.substituted == [CHINESE, "정상", "\U000e0fff"]
    assert "划痕, 정상" in shown.note() and len(shown.note().splitlines()) == 1
    alike = Lettering(["画", "话", "hua"]).shown
    assert len(set(alike)) == 3


def test_a_font_that_is_installed_and_has_the_letters_is_taken(dejavu_alone, monkeypatch):
    has = {"Some Sans": set(CHINESE), "Less Sans": {CHINESE[0]}}

    def covered(file, letters):
        return has.get(file, {letter for letter in letters if letter.isascii()}) & set(letters)

    fonts = [
        font_manager.FontEntry(fname=name, name=name, style="normal", weight=400, stretch="normal") for name in has
    ]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", font_manager.fontManager.ttflist + fonts)
    monkeypatch.setattr(lettering, "_covered", covered)
    shown = Lettering(["cats", CHINESE])
    assert shown.families == ["DejaVu Sans", "Some Sans"]
    assert shown.shown == ["cats", CHINESE] and shown.note() is None


def test_two_spellings_of_a_letter_are_shown_alike():
    assert Lettering(["ka\u0308fer"]).shown == ["käfer"]
