"""Decode every image once, leave out what cannot be used, and deal the rest out to train, validation and test."""

import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from headstart import archive, errors, files, images, params
from headstart.dataset import Item, LeftOut, find_images, order_classes
from headstart.errors import UserError
from headstart.manifest import SPLITS, Manifest, write_manifest
from headstart.progress import track
from headstart.splitting import deal, group_duplicates

REPORT = Path("metrics/dataset.json")


def hash_images(source: archive.Source, items: list[Item]) -> tuple[dict[str, str], list[LeftOut]]:
    """The hash of every image's decoded pixels by path, and the images that cannot be decoded."""

    def one(item: Item) -> tuple[str | None, str]:
        try:
            return images.pixel_hash(images.decode(source.read(item.path))), ""
        except (archive.Unreadable, images.Broken) as error:
            return None, str(error)

    hashes, broken = {}, []
    with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        for item, (sha256, reason) in zip(items, track(pool.map(one, items), "decoding", len(items)), strict=True):
            if sha256:
                hashes[item.path] = sha256
            else:
                broken.append(LeftOut(item.path, reason))
    return hashes, broken


def report(found: int, manifest: Manifest, groups: list[list[Item]], left_out: list[LeftOut], unused: int) -> dict:
    """What `metrics/dataset.json` holds."""
    counts = Counter(zip(manifest.splits.tolist(), manifest.labels.tolist(), strict=True))
    return {
        "classes": manifest.classes,
        "counts": {
            split: {name: counts[split, index] for index, name in enumerate(manifest.classes)} for split in SPLITS
        },
        "found": found,
        "unused": unused,
        "left_out": [entry._asdict() for entry in sorted(left_out)],
        "duplicates": sorted([item.path for item in group] for group in groups if len(group) > 1),
    }


def show(facts: dict) -> None:
    """Print the counts, and what was left out."""
    table = Table("images", *facts["classes"])
    for split, counts in facts["counts"].items():
        table.add_row(split, *(f"{counts[name]:,}" for name in facts["classes"]))
    Console().print(table)
    left_out = facts["left_out"]
    print(f"{facts['unused']:,} images more than asked for, not used; {len(left_out):,} files left out", end="")
    print(f" (the list is in {REPORT}):" if left_out else "")
    for entry in left_out[:3]:
        print(f"  {entry['path']}: {entry['reason']}")
    if len(left_out) > 3:
        print("  …")


def main() -> None:
    declared = params.load_stage("split")
    path = declared.dataset.path
    with archive.open_source(path) as source:
        items, left_out = find_images(source, declared.dataset)
        if not items:
            why = f"; {left_out[0].path}: {left_out[0].reason}" if left_out else ""
            there = f"{len(source.names())} files{why}"
            raise UserError(f"no labelled images in {path} ({there}): check dataset.path and dataset.labels")
        classes = order_classes((item.label for item in items), declared.dataset.classes)
        if len(classes) < 2:
            raise UserError(f"one class only in {path}, {classes[0]}: two or more are needed; check dataset.labels")
        hashes, broken = hash_images(source, items)
    for name in classes:
        paths = [item.path for item in items if item.label == name]
        if not any(path in hashes for path in paths):
            reason = next(entry.reason for entry in broken if entry.path == paths[0])
            which = f"{len(paths):,} images can be read ({paths[0]}: {reason})"
            raise UserError(f"class {name}: none of its {which}: mend or replace them")
    groups, conflicts = group_duplicates([item for item in items if item.path in hashes], hashes)
    splits = deal(groups, classes, {item.split for item in items}, declared.split)
    used = [item for item in items if item.path in splits]
    manifest = Manifest(
        classes=classes,
        paths=[item.path for item in used],
        labels=np.array([classes.index(item.label) for item in used], np.int64),
        splits=np.array([splits[item.path] for item in used]),
        sha256=[hashes[item.path] for item in used],
    )
    unused = sum(map(len, groups)) - len(used)
    facts = report(len(items), manifest, groups, left_out + broken + conflicts, unused)
    write_manifest(manifest)
    files.write_text(REPORT, json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    show(facts)


if __name__ == "__main__":
    errors.run(main)
