"""Decode every image once, leave out what cannot be used, and deal the rest out to train, validation and test."""

from functools import partial

import numpy as np

from headstart.artifacts import dataset, manifest
from headstart.artifacts.dataset import LeftOut
from headstart.base import errors, params
from headstart.base.progress import track
from headstart.base.threads import in_order
from headstart.images import archive, decoding
from headstart.labels import counts, groups, layouts
from headstart.labels.classes import lost, order_classes, refuse_unusable
from headstart.labels.duplicates import group_duplicates
from headstart.labels.layouts import Item, find_images
from headstart.labels.splitting import deal


def hash_image(source: archive.Source, item: Item) -> str | LeftOut:
    """The hash of an image's decoded pixels, or why it cannot be decoded."""
    try:
        return decoding.pixel_hash(decoding.decode(source.read(item.path)))
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
        outcomes = list(track(in_order(partial(hash_image, source), items), "decoding", len(items)))
    broken = [outcome for outcome in outcomes if isinstance(outcome, LeftOut)]
    hashes = {item.path: outcome for item, outcome in zip(items, outcomes, strict=True) if isinstance(outcome, str)}
    equal, contradictory = group_duplicates([item for item in items if item.path in hashes], hashes)
    joined, names = groups.join(equal, named)
    kept, parted = groups.keep_published(joined, names)
    left_out += broken + contradictory + parted
    labels = {item.path: item.label for item in items}
    refuse_unusable(labels, hashes, left_out)
    splits = deal(kept, classes, {item.split for item in items}, settings.split, lost(labels, left_out))
    used = [item for item in items if item.path in splits]
    dealt = manifest.Manifest(
        classes=classes,
        paths=[item.path for item in used],
        labels=np.array([classes.index(item.label) for item in used], np.int64),
        splits=np.array([splits[item.path] for item in used]),
        sha256=[hashes[item.path] for item in used],
        groups=np.array([names[item.path] for item in used]),
        **layouts.numbers(used, classes),
    )
    summary = dataset.summarize(
        dealt,
        found=len(items),
        unused=sum(map(len, kept)) - len(used),
        left_out=left_out,
        duplicates=[[item.path for item in group] for group in equal if len(group) > 1],
        published={item.split for item in items} - {None},
    )
    manifest.write(dealt)
    dataset.write(summary)
    counts.show(summary)


if __name__ == "__main__":
    errors.run(main)
