"""What `split` would refuse, found out before anything is written: groups, sizes and folds, by its own checks."""

import contextlib
import io
from typing import Any, TypeVar

from pydantic import ValidationError

from headstart.base.errors import UserError
from headstart.base.params import Dataset, Split
from headstart.discovery.reading import Layout
from headstart.discovery.survey import Survey
from headstart.images.archive import open_source
from headstart.labels import belonging, groups
from headstart.labels.classes import lost, order_classes, refuse_unusable
from headstart.labels.folds import deal_folds
from headstart.labels.splitting import deal

Section = TypeVar("Section", Dataset, Split)


def validated(kind: type[Section], values: dict[str, Any]) -> Section:
    """Return a section of params.yaml with these values. Raises UserError for the first that it does not take."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        name = ".".join(map(str, fault["loc"]))
        raise UserError(f"{name}: got {fault['input']!r}; takes {fault['msg']}") from None


def rehearse(layout: Layout, seen: Survey, dataset: dict[str, Any], split: dict[str, Any]) -> None:
    """Raise UserError where `split` would for these images, as far as they have been looked at.

    dataset, split: those sections of params.yaml, as they are to be. Images that were not looked at are taken for
    readable, and for no near-duplicates of others.
    """
    section, sizes = validated(Dataset, dataset), validated(Split, split)
    labels = layout.label_by_path
    first = {path: group[0] for group in seen.copies for path in group}
    broken = {entry.path for entry in seen.broken}
    files = {path: first.get(path, path) for path in labels if path not in broken}

    def pairs_among(paths: list[str]) -> list[tuple[str, str]]:
        kept = set(paths)
        return [pair for pair in seen.alike if kept.issuperset(pair)]

    with contextlib.redirect_stdout(io.StringIO()):  # `split` will say it
        classes = order_classes(labels.values(), section)
        with open_source(section.path) as source:
            named = groups.find_groups(source, layout.items, section)
        together = belonging.find(layout.items, files, pairs_among, named, section.near_duplicates)
        left_out = [*seen.broken, *together.left_out]
        refuse_unusable(labels, files, left_out)
        deal(together.groups, classes, {item.split for item in layout.items}, sizes, lost(labels, left_out))
        deal_folds(together.groups, sizes)
