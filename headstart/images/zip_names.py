"""The names of a zip's entries, of which only some say what encoding they are in."""

import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

_UTF8 = 0x800  # the flag of an entry whose name is UTF-8
_UNICODE_PATH = 0x7075  # Info-ZIP's extra field: version (1 byte), CRC-32 of the name as stored, the name in UTF-8
# What programs that set no flag write: the code pages of DOS and Windows, as Python names them.
_CODE_PAGES = (
    *("cp437", "cp850", "cp852", "cp866", "cp737", "cp775", "cp862", "cp857"),
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp874"),
    *("cp932", "cp949", "big5hkscs", "gb18030"),
)


def decode(entries: Sequence[zipfile.ZipInfo], path: Path) -> tuple[list[str], list[str]]:
    """Return the name of each entry, and a line for the user where the encoding was guessed.

    An entry's own word comes first: its flag, or its Unicode path field. All other names are taken to be in one
    encoding: UTF-8 where they are, else the code page that they look most like by their letters. Equal names give equal
    guesses. path: of the zip, for the line.
    """
    stored = [entry.orig_filename.encode("utf-8" if entry.flag_bits & _UTF8 else "cp437") for entry in entries]
    said = [_said(entry, name) for entry, name in zip(entries, stored, strict=True)]
    unsaid = [name for name, text in zip(stored, said, strict=True) if text is None]
    encoding = _guess(unsaid)
    names = [
        name.decode(encoding, "backslashreplace") if text is None else text
        for name, text in zip(stored, said, strict=True)
    ]
    if encoding == "utf-8":
        return names, []
    example = next(name.decode(encoding, "backslashreplace") for name in unsaid if not name.isascii())
    return names, [
        f"{path} does not say what encoding its names are in: they are read as {encoding}, such as {example!r}; if "
        "that is wrong, unpack it into a folder with a program that knows better, and set dataset.path to the folder"
    ]


def _said(entry: zipfile.ZipInfo, stored: bytes) -> str | None:
    if entry.flag_bits & _UTF8:
        return stored.decode("utf-8")
    extra = entry.extra
    while len(extra) >= 4:
        kind, size = (int.from_bytes(extra[at : at + 2], "little") for at in (0, 2))
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        # A program that renames entries and does not know the field leaves it as it was: hence the checksum.
        if kind == _UNICODE_PATH and field[:1] == b"\1" and field[1:5] == zlib.crc32(stored).to_bytes(4, "little"):
            try:
                return field[5:].decode("utf-8")
            except UnicodeDecodeError:
                return None
    return None


def _guess(names: Sequence[bytes]) -> str:
    """The encoding that all of `names` are in, as Python names it."""
    try:
        b"".join(names).decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError:
        pass
    import chardet  # takes a moment to import, and few zips need it

    # Words alone: the numbers and endings of a thousand files say nothing, and would drown two classes.
    words = {re.sub(rb"[0-9]+", b"", part.partition(b".")[0]) for name in names for part in name.split(b"/")}
    text = b"\n".join(sorted(word for word in words if not word.isascii()))
    guess = chardet.detect(text, include_encodings=_CODE_PAGES, no_match_encoding="cp437", compat_names=False)
    return guess["encoding"] or "cp437"  # it knows none for a name of control characters
