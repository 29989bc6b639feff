"""Images on S3, and in zips there, by s3fs: many are fetched at a time, each when its turn comes."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from headstart.base import credentials, errors
from headstart.base.errors import UserError
from headstart.images import archive
from headstart.images.archive import Unreachable, Unreadable
from headstart.images.ranges import Range

SCHEME = "s3://"
THREADS = 16  # images that are fetched at a time: one takes some hundredths of a second, most of which is waiting
# Seconds, and how often botocore tries again; s3fs does so four times more, also where a connection breaks off.
PATIENCE = {"connect_timeout": 10, "read_timeout": 30, "retries": {"max_attempts": 2}}
# What S3 answers about whoever asks, and not about what is asked for.
LOGIN = ("ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "RequestTimeTooSkewed", "SignatureDoesNotMatch")
BUSY = (408, 429)  # statuses that are no answer to what is asked for, as all from 500 on


def open_source(address: str, value_range: Range | None) -> archive.Source:
    """As `archive.open_source`, for an address: a zip where its name ends so, else all that lies below it."""
    bucket = Bucket(address)
    return bucket.zip(value_range) if address.lower().endswith(".zip") else _Objects(bucket, value_range)


class _Objects:
    def __init__(self, bucket: "Bucket", value_range: Range | None):
        self.value_range, self.replaced = value_range, []
        self._bucket, self.read = bucket, bucket.read

    @cached_property
    def _listed(self) -> tuple[dict[str, int], list[str]]:
        """The bytes of the files by their names; and what there is to say of those that are passed over."""
        sizes = self._bucket.sizes()
        passed_over = [name for name in sizes if archive.is_system_file(name)]
        notes = archive.hidden_classes(self._bucket.address, passed_over)
        for name in passed_over:
            del sizes[name]
        return sizes, notes

    @property
    def _sizes(self) -> dict[str, int]:
        return self._listed[0]

    @property
    def notes(self) -> list[str]:
        return self._listed[1]

    def names(self) -> list[str]:
        return sorted(self._sizes)

    def empty_folders(self) -> list[str]:
        return []

    def head(self, name: str) -> bytes:
        return self._bucket.read(name, 0, archive.HEAD)

    def size(self, name: str) -> int:
        return self._sizes[name]

    def __enter__(self) -> "_Objects":
        return self

    def __exit__(self, *error: object) -> None:
        pass


class Bucket:
    """A bucket, or a part of it, at `address`: s3://bucket/prefix. Raises UserError where that is no such address."""

    def __init__(self, address: str):
        self.name, _, self.key = address.removeprefix(SCHEME).partition("/")
        if credentials.has_secret(address) or "@" in self.name:
            raise UserError(
                f"got a user or a password in {credentials.shown(address)}: leave it out, and set AWS_ACCESS_KEY_ID "
                "and AWS_SECRET_ACCESS_KEY"
            )
        if not self.name:
            raise UserError(f"got {address}; takes s3://bucket, s3://bucket/folder or s3://bucket/images.zip")
        self.address = address
        self._lost: Unreachable | None = None
        self._may_read = False  # an object has been read

    @cached_property
    def _system(self) -> Any:
        try:
            import fsspec

            options = PATIENCE | {"max_pool_connections": THREADS}
            return fsspec.filesystem("s3", config_kwargs=options, use_listings_cache=False)
        except ImportError:
            raise Unreachable(f"{self.address}: s3:// needs s3fs: pip install -r requirements-s3.txt") from None

    def names(self) -> list[str]:
        """Return the names of all objects below the address, as in a folder, sorted. Raises Unreachable."""
        return sorted(self.sizes())

    def sizes(self) -> dict[str, int]:
        """Return the bytes of all objects below the address, by their names. Raises Unreachable."""
        prefix = f"{self.key.rstrip('/')}/" if self.key else ""
        sizes, page = {}, {"Bucket": self.name, "Prefix": prefix}
        while True:
            with self._explained():
                answer = self._system.call_s3("list_objects_v2", **page)
            for entry in answer.get("Contents", []):
                if not entry["Key"].endswith("/"):
                    sizes[entry["Key"].removeprefix(prefix)] = entry["Size"]
            if not answer.get("IsTruncated"):
                return sizes
            page["ContinuationToken"] = answer["NextContinuationToken"]

    def read(self, name: str = "", start: int | None = None, stop: int | None = None) -> bytes:
        """Return the content of an object below the address, or its bytes from `start` to before `stop`.

        name: "" stands for the object at the address itself. Raises Unreadable where it is the object's own fault, and
        Unreachable otherwise. Safe to call from several threads.
        """
        key = f"{self.key.rstrip('/')}/{name}".strip("/") if name else self.key
        with self._explained(one=True):
            # For several connections for one object s3fs would first ask for its size.
            content = self._system.cat_file(f"{self.name}/{key}", start=start, end=stop, max_concurrency=1)
            self._may_read = True
            return content

    def zip(self, value_range: Range | None = None) -> archive.Source:
        """Open the zip at the address, of which only what is wanted is fetched. value_range: as of `open_source`.

        Raises UserError where it is none, and Unreachable.
        """
        with self._explained():
            size = self._system.info(f"{self.name}/{self.key}")["size"]
        file = _Parts(self, size)
        return archive.open_remote_zip(file, self.address, file.ahead, value_range)

    @contextmanager
    def _explained(self, one: bool = False) -> Iterator[None]:
        """Raise Unreachable for whatever s3fs raises; or, of one object, Unreadable where that is its own fault."""
        if self._lost:  # as for another thread: what is still to be fetched need not be tried in vain
            raise self._lost
        try:
            yield
        except Unreachable:
            raise
        except Exception as error:
            # Who may read none is refused; where others could be read, it is this one that is closed.
            refused = _code(error) == "AccessDenied" and not self._may_read
            if one and not refused and (why := _own_fault(error)):
                raise Unreadable(why) from None
            self._lost = self._unreachable(error)
            raise self._lost from None

    def _unreachable(self, error: Exception) -> Unreachable:
        """What an error means that is not of one object alone, in a line that says what to do."""
        reason = credentials.hidden(errors.text_of(error))[:300]
        if isinstance(error, PermissionError) or _code(error) in LOGIN or "redentials" in type(error).__name__:
            advice = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of a user who may read there"
            return Unreachable(f"{self.address} refused your login ({reason}): {advice}")
        if isinstance(error, FileNotFoundError):
            return Unreachable(f"{self.address} is not there ({reason}): check the address, and AWS_ENDPOINT_URL")
        return Unreachable(
            f"{self.address} cannot be reached ({reason}): check the address, AWS_ENDPOINT_URL and the network, and "
            "run this again"
        )


class _Parts(io.RawIOBase):
    """An object as a file, of which each thread has a part at hand."""

    def __init__(self, bucket: Bucket, size: int):
        self._bucket, self._size, self._position, self._own = bucket, size, 0, threading.local()

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, count: int = -1) -> bytes:
        start = self._position
        stop = self._size if count < 0 else min(self._size, start + count)
        # Whatever ZipFile wants beyond that is fetched when it wants it.
        begin, part = getattr(self._own, "part", (0, b""))
        if begin <= start and stop <= begin + len(part):
            data = part[start - begin : stop - begin]
        else:
            data = self._bucket.read(start=start, stop=stop) if start < stop else b""
        self._position += len(data)
        return data

    @contextmanager
    def ahead(self, start: int, stop: int) -> Iterator[None]:
        """As `archive.open_remote_zip` takes it."""
        self._own.part = start, self._bucket.read(start=start, stop=min(stop, self._size))
        try:
            yield
        finally:
            del self._own.part


def _own_fault(error: Exception) -> str | None:
    """Why an object alone cannot be read; None where it is not the object's fault."""
    if _code(error) in (None, "RequestTimeout", *LOGIN) or _status(error) >= 500 or _status(error) in BUSY:
        return None
    return credentials.hidden(f"S3 answers {_code(error)}: {' '.join(str(error).split())}")


def _code(error: Exception) -> str | None:
    """The code of S3's answer; None where there was none."""
    return _answer(error).get("Error", {}).get("Code")


def _status(error: Exception) -> int:
    return _answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def _answer(error: Exception) -> dict[str, Any]:
    return getattr(error, "response", None) or getattr(error.__cause__, "response", None) or {}
