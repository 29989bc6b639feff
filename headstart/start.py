"""`python -m headstart.start PATH`: look at a folder, zip or table of images and set `params.yaml` for them."""

from headstart.base import errors  # first: from here on Ctrl-C is one line

# isort: split
import argparse
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from headstart.base import editing, files, params, wording
from headstart.base.arguments import Parser
from headstart.base.errors import UserError
from headstart.base.terminal import printable, say
from headstart.discovery import cost, joining, labelling, levels, recipe, sniffing, splits, subjects
from headstart.discovery.reading import Layout, Reason
from headstart.discovery.rehearsal import rehearse
from headstart.discovery.subjects import Subject
from headstart.discovery.survey import Survey, most, survey

KEPT = Path(".headstart/start")  # copies of a params.yaml that had been changed by hand, and what was written last
ANSWERS = ("labels", "pattern", "table", "image", "label", "probabilities")  # options that say where the labels are
SHOWN = 3  # reasons why a layout is not taken
RARE = 10  # times as many images as it has the most frequent class
FEWEST = 3  # images of a class: one for each split
# Names of classes that hold what has no label, as BACKGROUND_Google and CVAT's no_label.
NO_CLASS = re.compile(r"(.*[\W_])?(background|clutter|no[-_ ]?label|unlabell?ed|unsorted)([\W_].*)?", re.I)
# Patterns for paths, by which the inner ones of two levels of folders are the classes, or the outer ones.
INNER, OUTER = r"(.*/)?(?P<label>[^/]+)/[^/]+", r"(.*/)?(?P<label>[^/]+)/[^/]+/[^/]+"

# How what is given in place of a path may begin, and what to do about it; the first that fits counts.
ADDRESSES = {
    r"[a-z+]+://.*\.git/?$|git@|git://": "`git clone {0} data/my_images`, then give that folder",
    r"file://(?P<path>/.*)": "give {path}",
    r"[A-Za-z]:[\\/]": "give it as WSL has it, where the drive C: is /mnt/c",
    r"s3://": "`aws s3 cp --recursive {0} data/my_images`, then give that folder; by hand, dataset.path takes s3:// as "
    "well (docs/scale.md)",
    r"gs://": "`gcloud storage cp --recursive {0} data/my_images`, then give that folder",
    r"(hf://(datasets/)?|https://huggingface\.co/datasets/)(?P<name>[^/?#]+(/[^/?#]+)?)": "`hf download --repo-type "
    "dataset {name} --local-dir data/my_images`, write images that are in Parquet as files, then give that folder",
    r"(kaggle://competitions/|https://www\.kaggle\.com/(c|competitions)/)(?P<name>[^/?#]+)": "`kaggle competitions "
    "download {name}`, then give the zip",
    r"(kaggle://(datasets/)?|https://www\.kaggle\.com/datasets/)(?P<name>[^/?#]+/[^/?#]+)": "`kaggle datasets download "
    "{name}`, then give the zip",
    r"(https?|ftp)://": "fetch it, as with `curl -LO {0}`, unpack it where it is no zip, then give the folder or zip",
    r"[a-z][\w+-]*://|([\w.-]+@)?[\w.-]+:/": "copy it here, as with `rsync -r`, then give the folder or zip",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns 0; what a user can mend is a UserError."""
    options = _options(arguments)
    settings, before = params.load(), params.PARAMS.read_text(encoding="utf-8")
    path, only = _place(options)
    params.refuse_outs(path)
    names = None if options.classes is None else [name.strip() for name in options.classes.split(",")]
    dataset = settings.dataset.model_dump() | {"path": path, "source": None, "sha256": None, "classes": names}
    only = _join(dataset, only, options)
    layout = _choose(*labelling.find_layouts(dataset, only), path, options)
    _refuse_masks(layout, options)
    layout = _fix_splits(layout, dataset, settings.split, options)
    _refuse_classes(layout, names)
    _show_classes(layout, path)
    subject = _choose_subject(layout, options)
    seen = survey(path, [item.path for item in layout.items], options.seed or 1)
    _show_images(seen, layout)
    values = recipe.recipe(layout, seen, path, subject, options.seed)
    values["dataset"] |= {"classes": names, "positive": _positive(layout, options, settings.dataset.positive)}
    split = settings.split.model_dump() | values["split"]
    rehearse(layout, seen, settings.dataset.model_dump() | values["dataset"], split)
    text, changes = editing.merged(before, values, "what start found")
    if needed := cost.estimate(layout, seen, values):
        say(f"`make repro` takes about {needed} here: an estimate, to which fetching adds.")
    say(*([f"{params.PARAMS}:", *(f"  {change}" for change in changes)] if changes else ["Nothing to change."]))
    if options.dry_run:
        say("Not written: --dry-run.")
    elif changes:
        _write(before, text, options)
    return 0


def _place(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """The path of the source as `dataset.path` is to have it, and what the options say about its layout."""
    path = Path(os.path.expanduser(options.path))
    only = {name: getattr(options, name) for name in ANSWERS if getattr(options, name) is not None}
    if options.group is not None:
        only["level"] = int(options.group) if re.fullmatch(r"-?\d+", options.group) else None
    if not path.exists():
        _refuse_address(options.path)
        near = wording.did_you_mean(path.name, [entry.name for entry in path.parent.glob("*")])
        raise UserError(f"nothing is at {path}; {near}takes the path of a folder, a zip or a table of images")
    if path.is_file() and path.suffix.lower() in sniffing.TABLES:
        only["table"], path = path.name, path.parent
    elif path.is_file() and path.suffix.lower() in sniffing.SPREADSHEETS:
        raise UserError(f"{path} is {sniffing.AS_CSV}, and give that")
    elif path.is_file() and path.suffix.lower() in sniffing.OTHERS:
        raise UserError(f"{path} is {sniffing.AS_ROWS}, and give that")
    elif path.is_file() and path.name.lower().endswith(labelling.CONTAINERS) and path.suffix.lower() != ".zip":
        raise UserError(
            f"{path} is an archive that is not read in place: unpack it, and give the folder or a zip of it"
        )
    elif path.is_file() and sniffing.is_image(path):
        raise UserError(f"{path} is one image; takes a folder, a zip or a table of images: give the folder it is in")
    # Relative inside of the project, where it moves with it; else whole, since queued experiments run in other folders.
    path = Path(os.path.normpath(Path.cwd() / path))
    return (path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path).as_posix(), only


def _refuse_address(address: str) -> None:
    """Raise UserError for an address in place of a path, which says how the images come here."""
    for form, how in ADDRESSES.items():
        if found := re.match(form, address):
            told = how.format(address, **found.groupdict())
            raise UserError(f"{address} is an address; takes a path on this machine: {told}")


def _join(dataset: dict[str, Any], only: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """What is known of the layout: as it was, or, where a table is to be written of several, that this is the one."""
    if options.join is None:
        return only
    if options.dry_run:
        raise UserError("--join writes a table, and --dry-run nothing: give one of them")
    joining.write(dataset, only, options.join)
    return {name: only[name] for name in only.keys() & {"level"}} | {"table": options.join}


def _choose(found: list[Layout], reasons: list[Reason], path: str, options: argparse.Namespace) -> Layout:
    """The layout to take: the best one, unless somebody at a terminal says otherwise."""
    if not found:
        _refuse(reasons, path, options)
    best = found[0]
    _refuse_to_pass_over([reason for reason in reasons if reason.meant], best, options)
    if len(found) > 1 and _asks(options):
        for number, layout in enumerate(found, 1):
            say(f"  {number}  by {layout.how}: {_in_short(layout.counts)}")
        answer = _ask("Which of these are the classes?", "1")
        if not answer.isdigit() or not 0 < int(answer) <= len(found):
            raise UserError(f"got {answer}; takes a number from 1 to {len(found)}")
        return found[int(answer) - 1]
    if not best.sure and not (_asks(options) and _agreed(f"Classes by {best.how}: {_in_short(best.counts)}?")):
        raise UserError(
            f"the classes may be in {best.how}, {_in_short(best.counts)}, but {_doubt(best, found, reasons)}"
        )
    _refuse_rivals(found, options)
    _refuse_to_read_some(best, reasons, options)
    for other in found[1:]:
        say(f"Another way to read the labels: {other.how}, {_in_short(other.counts)}.")
        _say_subjects(other, best)
    return best


def _refuse_rivals(found: list[Layout], options: argparse.Namespace) -> None:
    """Raise UserError where the best layout is a table, and another one says something else of most of its images."""
    best, *others = found
    tables = [other for other in others if other.sure and "table" in other.settings] if "table" in best.settings else []
    for other in tables:
        if len(best.label_by_path.keys() & other.label_by_path) > len(best.items) / 2 and options.table is None:
            raise UserError(f"the labels may be in {best.how} or in {other.how}: say which with --table")


def _refuse_to_read_some(best: Layout, reasons: list[Reason], options: argparse.Namespace) -> None:
    """Raise UserError where several tables are named, and not all of them are read."""
    given = [name.strip() for name in (options.table or "").split(",")]
    unread = [file for layout in best.beside if (file := layout.settings["table"]["file"]) in given]
    why = [str(reason) for reason in reasons if reason.how in given and not reason.bare]
    if len(given) > 1 and options.join is None and (unread or why):
        why += [f"{', '.join(unread)} cannot be read as one with the others"] * bool(unread)
        raise UserError(
            f"--table: got {options.table}; {'; '.join(why)}: takes tables that have the same columns and are of "
            "different splits by their names, train among them"
        )


def _say_subjects(other: Layout, best: Layout) -> None:
    """Print a line on a column of subjects in a table that is not taken, where the layout that is has none."""
    if any(subject.sure for subject in subjects.find_subjects(best)):
        return
    for subject in (subject for subject in subjects.find_subjects(other) if subject.sure and "column" in subject.group):
        file = other.settings["table"]["file"]
        say(f"In {subject.how} of {file} are {subject.count:,} subjects: it belongs into the table of the labels.")
        return


def _doubt(best: Layout, found: list[Layout], reasons: list[Reason]) -> str:
    """Why the best layout is not taken unasked, and the options that say what is."""
    doubt, flags = "these may be subjects, days or cameras as well", "--label, --labels, --table or --pattern"
    if "table" in best.settings:
        doubt, flags = "another column may be meant", _flags_of_columns(best)
    elif "group" in best.settings:
        doubt, flags = "the others may be the classes", _flags_of_levels(best)
        if forms := levels.forms(best.items):
            doubt = f"{' and '.join(forms)} may have the same images, so that one of them is to be given, or {doubt}"
    elif best.in_paths:
        doubt = "the folders that it leaves out, as those of masks by their names, may be meant too"
        return f"{doubt}: take it with {_as_flags(best)}, or say what is meant with --labels, --table or --pattern"
    elif best.settings == {"labels": "folders"}:
        doubt = "these may be kinds of files, or parts of a download"
        flags = "--labels folders (takes them all the same), --table or --pattern"
    elif reasons:
        doubt += f" ({reasons[0]})"
    for layout in found:
        if layout.in_paths:
            flags += f"; by the folders it is {_as_flags(layout)}"
    return f"{doubt}: say what they are with {flags}"


def _flags_of_columns(layout: Layout) -> str:
    """The options that say which column of a table has the labels."""
    label = layout.settings["table"]["label"]
    label = shlex.quote(",".join(map(str, label)) if isinstance(label, list) else str(label))
    return f"--label (--label {label} takes this one), --labels, --table or --pattern"


def _flags_of_levels(layout: Layout) -> str:
    """The options that say which of two levels of folders is what."""
    inner, outer = levels.of_subjects(item.path for item in layout.items)  # their keys
    return (
        f"--group {inner}, where the inner folders are subjects, or {outer}, where the outer ones are; where none are, "
        f"with --pattern '{INNER}' for the inner ones as classes, or '{OUTER}' for the outer ones"
    )


def _refuse(reasons: list[Reason], path: str, options: argparse.Namespace) -> NoReturn:
    reasons = [reason for reason in reasons if reason.meant] or reasons
    more = f"; and {len(reasons) - SHOWN:,} more" if len(reasons) > SHOWN else ""
    why = "; ".join(map(str, reasons[:SHOWN])) + more
    if reasons and any(getattr(options, name) for name in ANSWERS):
        raise UserError(why)
    raise UserError(
        f"cannot tell how the images in {path} are labelled "
        f"({why or 'no folder for each class, no table, no class in the file names'}): say it with --labels, --table "
        f"or --pattern{_beside(path)}"
    )


def _beside(path: str) -> str:
    """A hint at a table that lies beside the source, where none is looked for."""
    folder = Path(path).resolve().parent
    tables = [file.name for file in sorted(folder.glob("*")) if file.suffix.lower() in (".csv", ".tsv")]
    if not tables or folder == Path("data").resolve():  # where the pipeline has tables of its own
        return ""
    give = "give that in its place" if Path(path).is_dir() else "unpack it there, and give the table in its place"
    return f"; beside it lies {tables[0]}: {give}"


def _refuse_to_pass_over(tables: list[Reason], best: Layout, options: argparse.Namespace) -> None:
    """Raise UserError where a table has the labels, by its looks, but cannot be taken, unless it is agreed to go on."""
    if not tables or best.settings["labels"] == "table":
        return
    why = "; ".join(map(str, tables[:SHOWN]))
    question = f"A table that may have the labels is not taken ({why}). Go on without it, by {best.how}?"
    if _asks(options) and _ask(question, "n").lower() in ("y", "yes"):
        return
    raise UserError(
        f"the labels may be in a table that is not taken ({why}): mend it, or go on without it by {_as_flags(best)}"
    )


def _as_flags(layout: Layout) -> str:
    """The option by which a layout that is no table is taken."""
    if "pattern" in layout.settings:
        return f"--pattern {shlex.quote(layout.settings['pattern'])}"
    if "group" in layout.settings:
        return f"--group {layout.settings['group']['folder']}"
    return f"--labels {layout.settings['labels']}"


def _refuse_masks(layout: Layout, options: argparse.Namespace) -> None:
    """Raise UserError where images are masks of others by name, unless it is said how to read them, or agreed."""
    masks = layout.masks
    if not masks or any(getattr(options, name) for name in ANSWERS):
        return
    mask, image = min(masks.items())
    what = f"{wording.count(len(masks), 'image')} may be masks of others, such as {mask} of {image}"
    if _asks(options) and _ask(f"{what}. Use them as images?", "n").lower() in ("y", "yes"):
        return
    pattern = layout.without_masks()
    without = f" leave them out with --pattern {shlex.quote(pattern)}," if pattern else ""
    raise UserError(f"{what}: take them out,{without} or use them as images with {_as_flags(layout)}")


def _fix_splits(layout: Layout, dataset: dict[str, Any], sizes: params.Split, options: argparse.Namespace) -> Layout:
    """The layout with the splits of a column: as given, or of one that says them clearly, or agreed to."""
    if options.split == "none":
        return layout
    if options.split is not None:
        return splits.take(layout, dataset, splits.named(layout, options.split))
    column, lines = splits.find(layout, dataset, sizes, partial(_known_group, layout, options))
    layout = layout._replace(notes=layout.notes + "".join(f"{line}\n" for line in lines))
    if column is None:
        return layout
    question = f"The column {column} ({splits.values(layout, column)}) says which split an image is of. Keep these?"
    if _asks(options) and not _agreed(question):
        return layout
    try:
        return splits.take(layout, dataset, column)
    except UserError as error:  # such as a row without an image that says no split
        return layout._replace(notes=f"{layout.notes}The column {column} is not read: {error}.\n")


def _given_group(layout: Layout, given: str) -> dict[str, Any] | None:
    """What `dataset.group` is to be by the option. Raises UserError for what is no column."""
    if given == "none":
        return None
    if "(?P<" in given:
        return {"pattern": given}
    if re.fullmatch(r"-?\d+", given):
        return {"folder": int(given)}
    if given not in layout.columns:
        columns = f"a column ({', '.join(map(str, layout.columns))})" if layout.columns else "a column of a table"
        raise UserError(f"--group: got {given}; takes {columns}, a pattern with (?P<group>…), a level, or none")
    return {"column": given}


def _known_group(layout: Layout, options: argparse.Namespace) -> dict[str, Any] | None:
    """What `dataset.group` is to be, as far as nobody needs to be asked."""
    if options.group is not None:
        return _given_group(layout, options.group)
    sure = (subject.group for subject in subjects.find_subjects(layout) if subject.sure and not subject.lacks)
    return next(sure, None)


def _choose_subject(layout: Layout, options: argparse.Namespace) -> dict[str, Any] | None:
    """What `dataset.group` is to be: as given, as the layout needs, or a candidate that is sure or agreed to."""
    if options.group is not None:
        return _given_group(layout, options.group)
    if "group" in layout.settings:
        say("The other folders are taken for subjects: what is in one of them stays together (dataset.group).")
        return layout.settings["group"]
    chosen = None
    for subject in subjects.find_subjects(layout):
        what = f"In {subject.how} are {subject.count:,} subjects, such as {subject.example}"
        if subject.lacks:
            take = f"--group {_as_option(subject)} takes them all the same, " if subject.dealt else ""
            say(f"{what}: not taken, since {subject.lacks}; {take}--group none leaves them.")
        elif chosen is None and (_agreed(f"{what}: keep what is of one together?") if _asks(options) else subject.sure):
            chosen = subject
            say(f"{what}: what is of one stays together (dataset.group; --group none leaves it).")
        else:
            say(f"{what}: not taken; --group {_as_option(subject)} keeps what is of one together.")
    return chosen.group if chosen else None


def _as_option(subject: Subject) -> str:
    (value,) = subject.group.values()
    return shlex.quote(str(value))


def _refuse_classes(layout: Layout, names: list[str] | None) -> None:
    """Raise UserError for a class with too few images for the splits, and for names that are not just the classes."""
    counts = layout.counts
    rarest = min(counts, key=counts.get)
    if counts[rarest] < FEWEST and {item.split for item in layout.items} == {None}:
        raise UserError(
            f"class {rarest} has {wording.count(counts[rarest], 'image')}, and takes {FEWEST} at least, one each for "
            "train, validation and test: add images, or take it out"
        )
    if names is not None and sorted(names) != sorted(counts):
        hints = "".join(_hint(name, counts) for name in names if name not in counts)
        raise UserError(f"--classes: got {','.join(names)}; {hints}takes each of {', '.join(counts)} once")


def _positive(layout: Layout, options: argparse.Namespace, current: str | None) -> str | None:
    """The class that curves are of: as given, or as it was where these images have it too, or a rare one."""
    counts = layout.counts
    if options.positive is not None and (options.positive not in counts or len(counts) > 2):
        takes = " or ".join(counts) if len(counts) == 2 else f"one of two classes, and there are {len(counts)}"
        hint = _hint(options.positive, counts)
        raise UserError(f"--positive: got {options.positive}; {hint}takes {takes}")
    if options.positive is not None or len(counts) > 2 or current in counts:
        return options.positive or (current if len(counts) == 2 else None)
    rare, often = sorted(counts, key=counts.get)
    if counts[often] < RARE * counts[rare]:
        return None
    say(f"Curves are of {rare}, the rare one (dataset.positive; --positive {often} is the other).")
    return rare


def _hint(name: str, known: Iterable[str]) -> str:
    """As `wording.did_you_mean`; a name in another case comes first."""
    same = next((other for other in known if other.casefold() == name.casefold()), None)
    return f"did you mean {same}? " if same else wording.did_you_mean(name, known)


def _show_classes(layout: Layout, path: str) -> None:
    counts, fixed = layout.counts, Counter(item.split for item in layout.items)
    say(f"{wording.count(len(layout.items), 'image')} in {path}, their classes by {layout.how}:")
    if len(counts) <= 12:
        width = max(map(len, counts))
        for name, count in counts.items():
            say(f"  {name:<{width}}  {count:,}")
    else:
        say(f"  {_in_short(counts)}")
    say(*layout.notes.splitlines())
    for name in (name for name in layout.columns if re.fullmatch(r"(sample_?)?weights?|confidence", str(name).lower())):
        say(f"If the column {name} says what each image counts for, set dataset.table.weight to it.")
    for name in layout.other_labels():
        values = _in_short(Counter(layout.columns[name].values()))
        say(f"The column {name} ({values}) may be the label as well: --label {shlex.quote(str(name))} takes it.")
    if sniffing.are_shares(list(counts)) and not layout.settings.get("table", {}).get("probabilities"):
        say("If these numbers are probabilities of the second of two classes: --probabilities --classes A,B.")
    for name in filter(NO_CLASS.fullmatch, counts):
        say(f"{name} may stand for images of no class, by its name: if so, take it out.")
    if None not in fixed:
        counted = ", ".join(f"{name} {count:,}" for name, count in fixed.items())
        if (column := layout.settings.get("table", {}).get("split")) is not None:
            told = f"Its column {column}{splits.meaning(layout, column)} fixes the splits"
            say(f"{told}: {counted} (dataset.table.split; --split none leaves it).")
        else:
            several = isinstance(layout.settings.get("table", {}).get("file"), list)
            say(f"Its {'tables' if several else 'folders'} fix the splits: {counted}.")
    if max(counts.values()) >= RARE * min(counts.values()):
        rare = min(counts, key=counts.get)
        say(f"{rare} is rare: head.class_weights and fine_tune.class_weights, balanced, give it more weight.")
    if layout.left_out:
        more = f" and {len(layout.left_out) - 2:,} more" if len(layout.left_out) > 2 else ""
        files = wording.count(len(layout.left_out), "file")
        say(f"{files} left out: {_examples(layout.left_out)}{more}. The whole list will be in metrics/dataset.json.")


def _show_images(seen: Survey, layout: Layout) -> None:
    if not seen.looks:
        raise UserError(f"none of the images can be read ({_examples(seen.broken)}): replace them")
    looks = list(seen.looks.values())
    sizes = sorted((look.size for look in looks), key=lambda size: (size[0] * size[1], size))
    spread = [f"{width:,}x{height:,}" for width, height in (sizes[len(sizes) // 2], sizes[0], sizes[-1])]
    same = sizes[0] == sizes[-1]
    of = f"Of {seen.looked_at:,} that were looked at: " if seen.looked_at < seen.images else ""
    size = f"all {spread[0]}" if same else f"{spread[0]} in the middle, {spread[1]} to {spread[2]}"
    depth, tones = most([look.depth for look in looks]), most([look.tones for look in looks])
    say(f"{of}{size} pixels; {tones}; {depth} per channel.")
    if seen.broken:
        _refuse_unreadable(seen, layout)
        say(f"{wording.count(len(seen.broken), 'image')} of them cannot be read: {_examples(seen.broken)}.")
    if seen.copies:
        more = sum(map(len, seen.copies)) - len(seen.copies)
        first, second, *_ = seen.copies[0]
        many = "1 file is an exact copy of another" if more == 1 else f"{more:,} files are exact copies of others"
        say(f"{many}, such as {second} of {first}: copies never lie in two splits.")
        labels = layout.label_by_path
        torn = [path for group in seen.copies if len({labels[path] for path in group}) > 1 for path in group]
        if torn:
            say(f"{wording.count(len(torn), 'file')} left out: copies in two classes, such as {torn[0]}.")
    else:
        say(f"No exact copies{'' if seen.compared else ' among those that were compared'}.")
    if seen.alike:
        alike = len({path for pair in seen.alike for path in pair})
        first, second = seen.alike[0]
        say(
            f"{alike:,} of {seen.looked_at:,} images look like copies of others, encoded anew, resized or cropped, "
            f"such as {first} and {second}: they stay together (dataset.near_duplicates)."
        )


def _refuse_unreadable(seen: Survey, layout: Layout) -> None:
    """Raise UserError where all images of a class were looked at, and none can be read."""
    labels, reasons = layout.label_by_path, {entry.path: entry for entry in seen.broken}
    unread = Counter(labels[path] for path in reasons)
    for name, count in layout.counts.items():
        if unread[name] == count:
            entries = [entry for path, entry in reasons.items() if labels[path] == name]
            raise UserError(f"class {name}: none of its images can be read: {_examples(entries)}: replace them")


def _examples(left_out: list) -> str:
    return ", ".join(f"{entry.path} ({entry.reason})" for entry in left_out[:2])


def _in_short(counts: dict[str, int]) -> str:
    names = list(counts)
    shown = ", ".join(f"{name} {counts[name]:,}" for name in names[:3])
    if len(names) <= 3:
        return shown
    if len(set(counts.values())) == 1:
        return f"{len(names)} classes ({shown}, …), of {wording.count(counts[names[0]], 'image')} each"
    least, mostly = min(counts, key=counts.get), max(counts, key=counts.get)
    return (
        f"{len(names)} classes ({shown}, …), from {counts[least]:,} images ({least}) to {counts[mostly]:,} ({mostly})"
    )


def _write(before: str, text: str, options: argparse.Namespace) -> None:
    """Write params.yaml; what was changed by hand and not committed is kept beside, and said."""
    last = KEPT / "written.yaml"
    committed = subprocess.run(["git", "show", f"HEAD:./{params.PARAMS}"], capture_output=True)
    known = committed.returncode == 0 and committed.stdout.decode("utf-8", "replace") == before
    if not known and not (last.exists() and last.read_text(encoding="utf-8") == before):
        question = f"{params.PARAMS} has changes that are not committed. Go on, and keep a copy?"
        if _asks(options) and not _agreed(question):
            raise UserError(f"{params.PARAMS} is as it was: commit it, then run this again")
        copy = next(path for number in range(1, 10**6) if not (path := KEPT / f"params-{number}.yaml").exists())
        files.write_text(copy, before)
        say(f"{params.PARAMS} had changes that are not committed: a copy is in {copy}.")
    files.write_text(params.PARAMS, text)
    files.write_text(last, text)
    undo = f"git checkout {params.PARAMS}" if committed.returncode == 0 else "the copy"
    say(f"Written. To undo: {undo}. To go on: make repro")


def _asks(options: argparse.Namespace) -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and not options.yes


def _ask(question: str, default: str) -> str:
    try:
        return input(printable(f"{question} [{default}] ")).strip() or default
    except EOFError:
        raise UserError("no answer: nothing was written") from None


def _agreed(question: str) -> bool:
    return _ask(question, "y").lower() in ("y", "yes")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m headstart.start",
        description="Look at images and set params.yaml for them: how they are labelled, and the recipe for photos.",
        epilog="At a terminal it asks where it is not sure; elsewhere, and with --yes, it takes the likely or stops.",
    )
    parser.add_argument("path", metavar="PATH", help="a folder or a zip of images, or a table that lists them")
    kinds = list(params.Dataset.model_fields["labels"].annotation.__args__)
    parser.add_argument("--labels", choices=kinds, help="where labels are")
    parser.add_argument("--pattern", metavar="REGEX", help="for labels in names: with (?P<label>…)")
    parser.add_argument(
        "--table", metavar="FILE", help="the table with the labels, inside the source; A,B: of each split"
    )
    parser.add_argument(
        "--join", metavar="FILE", help="write what tables, lists and folders say together into this one"
    )
    parser.add_argument("--image", metavar="COLUMN", help="its column of images: name, or number from 0")
    parser.add_argument("--label", metavar="COLUMN", help="its column of labels, or several of zeros and ones: A,B,C")
    parser.add_argument(
        "--probabilities",
        action="store_true",
        default=None,
        help="the label is the probability of the second of two --classes, or, in several columns, of each",
    )
    parser.add_argument(
        "--group", metavar="WHAT", help="what belongs together: a column, a pattern with (?P<group>…), a level, or none"
    )
    parser.add_argument("--split", metavar="COLUMN", help="the table's column of train, val and test, or none")
    parser.add_argument("--classes", metavar="A,B", help="all classes in their order (default: the alphabet's)")
    parser.add_argument("--positive", metavar="CLASS", help="of two, the one that is to be found (default: the last)")
    parser.add_argument("--seed", type=int, metavar="N", help="of the split and of training (default: 1)")
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    parser.add_argument("--options", metavar="TEXT", help="more options in one text, parted as a shell would (make)")
    return parser.parse_args(_with_more(sys.argv[1:] if arguments is None else arguments))


def _with_more(arguments: Sequence[str]) -> list[str]:
    """The arguments, with what `--options` holds before them."""
    parser = Parser(prog="python -m headstart.start", add_help=False, allow_abbrev=False)
    parser.add_argument("--options", default="")
    known, others = parser.parse_known_args(arguments)
    try:
        return [*shlex.split(known.options), *others]
    except ValueError as error:
        raise UserError(f"--options: got {known.options} ({error}): close its quotes, or leave it out") from None


if __name__ == "__main__":
    errors.run(main)
