"""What the server takes, and what it refuses."""

from typing import NamedTuple

from headstart.base.errors import UserError


class Limits(NamedTuple):
    """What one request may ask for, and all of them together.

    `megabytes`: of a request, as it is sent. `megapixels`: of an image, by its header. `files`: of a request.
    `seconds`: for receiving a request and answering it. `queue`: images that are under way at once, of all requests.
    `batch`: images that the network is given at once; `wait`: the milliseconds for which the first of them waits for
    others.
    """

    megabytes: int = 50
    megapixels: int = 50
    files: int = 32
    seconds: int = 30
    queue: int = 128
    batch: int = 16
    wait: int = 5

    @property
    def bytes(self) -> int:
        """Of a request."""
        return self.megabytes * 2**20

    @property
    def bytes_of_all(self) -> int:
        """Of all requests that are being received or answered."""
        return 4 * self.bytes

    @property
    def pixels(self) -> int:
        """Of an image."""
        return self.megapixels * 10**6


MOST_FILES = 1000  # of a request, whatever --files says: to look through a million takes seconds
CONNECTIONS = 500  # at once; the rest of the files that a process may have open is for images


def checked(limits: Limits) -> Limits:
    """Return the limits. Raises UserError for one that would let nothing through."""
    for name, value in limits._asdict().items():
        if value < (0 if name == "wait" else 1):
            raise UserError(f"--{name}: got {value}; takes {'0' if name == 'wait' else '1'} or more")
    if limits.files > MOST_FILES:
        raise UserError(f"--files: got {limits.files}; takes up to {MOST_FILES}: send more in several requests")
    if limits.queue < limits.files:
        raise UserError(
            f"--queue: got {limits.queue}, but a request may have {limits.files} files: a queue takes at least as many "
            f"(--queue {limits.files}), or lower --files"
        )
    return limits
