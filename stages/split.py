"""Decode every image once, leave out what cannot be used, and deal the rest out to train, validation and test."""

from headstart.base import watch

watch.start(__name__)  # before what takes seconds to import

from functools import partial

from headstart.artifacts import dataset, manifest, value_range
from headstart.base import checkpoint, errors, params, pictures
from headstart.base.progress import track
from headstart.base.terminal import say
from headstart.base.threads import in_order
from headstart.images import archive, decoding, facts
from headstart.images.facts import Facts
from headstart.labels import belonging, contact_sheet, corrections, counts, groups, listing, near_duplicates
from headstart.labels.classes import lost, order_classes, refuse_unusable
from headstart.labels.folds import deal_folds
from headstart.labels.layouts import Item, find_images
from headstart.labels.splitting import deal


def examine(source: archive.Source, windows: bool, item: Item) -> Facts | dataset.LeftOut:
    """What `decoding.examine` notes of an image, or why it cannot be decoded."""
    try:
        return decoding.examine(source.read(item.path), windows)
    except (archive.Unreadable, decoding.Broken) as error:
        return dataset.LeftOut(item.path, str(error))


def main() -> None:
    settings = params.load_stage("split")
    with archive.open_source(settings.dataset.path) as source:
        for note in source.notes:
            say(note)
        replaced = [dataset.LeftOut(path, "the zip has another file of this name") for path in source.replaced]
        items, left_out = find_images(source, settings.dataset)
        classes = order_classes((item.label for item in items), settings.dataset)
        named = groups.find_groups(source, items, settings.dataset)
        look = partial(examine, source, settings.image.range is None)
        looked = track(in_order(look, items), "decoding", len(items))
        outcomes = list(facts.shelved(looked, len(items), manifest.MANIFEST.parent))
    left_out += [outcome for outcome in outcomes if isinstance(outcome, dataset.LeftOut)]
    noted = {item.path: outcome for item, outcome in zip(items, outcomes, strict=True) if isinstance(outcome, Facts)}
    hashes = {path: image.sha256 for path, image in noted.items()}
    alike = partial(near_duplicates.among, {path: image.thumbnail for path, image in noted.items()})
    together = belonging.find(items, hashes, alike, named, settings.dataset.near_duplicates)
    left_out += together.left_out
    labels = {item.path: item.label for item in items}
    refuse_unusable(labels, hashes, left_out)
    splits = deal(together.groups, classes, {item.split for item in items}, settings.split, lost(labels, left_out))
    folds = deal_folds(together.groups, settings.split)
    listed = listing.manifest_of(items, classes, splits, folds, hashes, together.names)
    corrected = corrections.apply(listed, settings.dataset.correct_test)
    summary = dataset.summarize(
        corrected.table,
        found=len(items),
        unused=sum(map(len, together.groups)) - len(splits),
        left_out=left_out + corrected.left_out + replaced,
        published={item.split for item in items} - {None},
        corrections=corrected.counts,
        **together.facts(splits),
    )
    dealt = corrected.table
    values = facts.find_range([noted[dealt.paths[row]] for row in dealt.rows("train")], settings.image.range)
    manifest.write(dealt)
    value_range.write(values and values._asdict())
    dataset.write(summary)
    counts.show(summary)
    known = {path: noted[path] for path in dealt.paths}
    for line in [*corrected.lines, *facts.lines(known, values, settings.image.range)]:
        say(line)
    with archive.open_source(settings.dataset.path, values) as source:
        sets, read = summary["near_duplicates"], lambda path: decoding.decode(source.read(path), values)
        pictures.attempt(dataset.NEAR_DUPLICATES, partial(contact_sheet.draw, sets=sets, read=read, labels=labels))
    checkpoint.finish("split")


if __name__ == "__main__":
    errors.run(main)
