"""The report as a page: what is shown, in words, in charts and in pictures. Run by the stage `report`."""

from pathlib import Path

CARD = Path("models/MODEL_CARD.md")  # what `model_card` writes
