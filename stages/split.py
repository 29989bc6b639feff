"""Decode every image once, leave out what cannot be used, and deal the rest out to train, validation and test."""

from functools import partial
from typing import NamedTuple

import numpy as np

from headstart.artifacts import dataset, manifest
from headstart.artifacts.dataset import LeftOut
from headstart.base import errors, params, pictures
from headstart.base.progress import track
from headstart.base.threads import in_order
from headstart.images import archive, decoding
from headstart.labels import belonging, contact_sheet, counts, groups, layouts
from headstart.labels.classes import lost, order_classes, refuse_unusable
from headstart.labels.layouts import Item, find_images
from headstart.labels.splitting import deal


class Seen(NamedTuple):
    """What is kept of an image: the hash of its pixels, and a thumbnail, uint8 (64, 64)."""

    sha256: str
    thumbnail: np.ndarray


def look(source: archive.Source, item: Item) -> Seen | LeftOut:
    """Decode an image; or say why that cannot be done."""
    try:
        pixels = decoding.decode(source.read(item.path))
        return Seen(decoding.pixel_hash(pixels), decoding.thumbnail(pixels))
    except (archive.Unreadable, decoding.Broken) as error:
        return LeftOut(item.path, str(error))


def main() -> None:
    settings = params.load_stage("split")
    with archive.open_source(settings.dataset.path) as source:
        for note in source.notes:
            print(note)
        items, left_out = find_images(source, settings.dataset)
        classes = order_classes((item.label for item in items), settings.dataset)
        named = groups.find_groups(source, items, settings.dataset)
        outcomes = list(track(in_order(partial(look, source), items), "decoding", len(items)))
    left_out += [outcome for outcome in outcomes if isinstance(outcome, LeftOut)]
    seen = {item.path: outcome for item, outcome in zip(items, outcomes, strict=True) if isinstance(outcome, Seen)}
    hashes = {path: image.sha256 for path, image in seen.items()}
    thumbnails = {path: image.thumbnail for path, image in seen.items()}
    together = belonging.find(items, hashes, thumbnails, named, settings.dataset.near_duplicates)
    left_out += together.left_out
    labels = {item.path: item.label for item in items}
    refuse_unusable(labels, hashes, left_out)
    splits = deal(together.groups, classes, {item.split for item in items}, settings.split, lost(labels, left_out))
    used = [item for item in items if item.path in splits]
    dealt = manifest.Manifest(
        classes=classes,
        paths=[item.path for item in used],
        labels=np.array([classes.index(item.label) for item in used], np.int64),
        splits=np.array([splits[item.path] for item in used]),
        sha256=[hashes[item.path] for item in used],
        groups=np.array([together.names[item.path] for item in used]),
        **layouts.numbers(used, classes),
    )
    summary = dataset.summarize(
        dealt,
        found=len(items),
        unused=sum(map(len, together.groups)) - len(used),
        left_out=left_out,
        published={item.split for item in items} - {None},
        **together.facts(splits),
    )
    manifest.write(dealt)
    dataset.write(summary)
    counts.show(summary)
    with archive.open_source(settings.dataset.path) as source:
        sets, read = summary["near_duplicates"], lambda path: decoding.decode(source.read(path))
        pictures.attempt(dataset.NEAR_DUPLICATES, partial(contact_sheet.draw, sets=sets, read=read))


if __name__ == "__main__":
    errors.run(main)
