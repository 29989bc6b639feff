"""Downloads over https: one that breaks off is continued where it stopped, in the same run or in a later one."""

import ipaddress
import json
import time
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from headstart.base import credentials
from headstart.base.errors import UserError
from headstart.base.progress import bytes_bar

TRIES = 5  # without any progress, before the run gives up
BACKOFF = 0.5  # seconds before the first new try, doubled before each further one
TIMEOUT = (10, 60)  # seconds: to connect, and between two pieces
REDIRECTIONS = 10


class _Session(requests.Session):
    """Follows no redirection by itself: requests would ask the new address before anybody could look at it."""

    def get_redirect_target(self, response: requests.Response) -> None:
        return None


def download(url: str, part: Path) -> None:
    """Download `url` to `part`.

    A `part` left by an earlier, broken download of the same, unchanged file is continued. Beside it, until it is
    whole, lies `part`.json, which says what it is a part of.

    Credentials for the server come from ~/.netrc, where there is one.

    Raises UserError for an address that is neither https nor http on this machine (or is redirected to one, which is
    then not asked), a server that cannot be reached or answers with an error, and after `TRIES` tries in a row without
    progress.
    """
    _admit(url, url)
    retry = Retry(
        total=TRIES - 1,
        backoff_factor=BACKOFF,
        status_forcelist=[429, 500, 502, 503, 504],
        raise_on_status=False,
        # Some servers ask for hours.
        respect_retry_after_header=False,
    )
    with _Session() as session:
        session.mount("https://", HTTPAdapter(max_retries=retry))
        session.mount("http://", HTTPAdapter(max_retries=retry))
        furthest, failures = 0, 0
        while not _continue(session, url, part):
            size = part.stat().st_size if part.exists() else 0
            furthest, failures = max(size, furthest), 0 if size > furthest else failures + 1
            if failures == TRIES:
                raise UserError(
                    f"{url}: the connection broke {TRIES} times without getting further than {furthest:,} bytes: "
                    "check the network and run it again, it continues from there"
                )
            time.sleep(BACKOFF * 2**failures)
    forget(part)


def forget(part: Path) -> None:
    """Let no later download continue `part`."""
    _note(part).unlink(missing_ok=True)


def _continue(session: requests.Session, url: str, part: Path) -> bool:
    """Continue a download, or start it; returns False where it broke off and can be continued."""
    validator = _noted_validator(url, part)
    have = part.stat().st_size if validator and part.exists() else 0
    headers = {"Range": f"bytes={have}-", "If-Range": validator} if have else {}
    with _get(session, url, headers | {"Accept-Encoding": "identity"}) as response:
        content_range = response.headers.get("Content-Range", "")
        continues = response.status_code == 206 and content_range.startswith(f"bytes {have}-")
        if have and response.status_code != 200 and not continues:
            part.unlink()
            return False
        if response.status_code != 200 and not continues:
            raise UserError(f"{url}: the server answers {response.status_code} {response.reason}: check the address")
        have = have if continues else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with part.open("ab" if continues else "wb") as file, bytes_bar(f"fetch {url}", total) as advance:
            advance(have)
            # Not earlier: the note must not describe the new content while the part still holds the old.
            _note(part).write_text(json.dumps({"url": url, "validator": _validator(response)}))
            try:
                for piece in response.iter_content(2**16):
                    file.write(piece)
                    advance(len(piece))
            except requests.RequestException:
                return False
        return True


def _get(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    """The answer of `url`, or of where it redirects to: each address is admitted before it is asked."""
    address = url
    for _ in range(REDIRECTIONS + 1):
        _admit(url, address)
        response = _ask(session, url, address, headers)
        target = requests.Session().get_redirect_target(response)
        if target is None:
            return response
        response.close()
        try:
            address = urljoin(address, target)
        except ValueError:  # such as http://[
            address = target
    raise UserError(f"{url}: it is redirected more than {REDIRECTIONS} times: check the address")


def _ask(session: requests.Session, url: str, address: str, headers: dict[str, str]) -> requests.Response:
    try:
        return session.get(address, headers=headers, stream=True, timeout=TIMEOUT)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise UserError(
            f"{url}: cannot be reached: check the network and the address, then run it again ({_reason(error)})"
        ) from None
    except requests.RequestException as error:
        raise UserError(f"{url}: {error}: check the address") from None


def _reason(error: BaseException) -> str:
    """Returns the reason inside the wrappings of requests and urllib3."""
    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    return str(reason).rpartition(": ")[2]


def _admit(source: str, address: str) -> None:
    """Raise UserError for an address that is not to be asked: `source` itself, or one that it redirects to."""
    try:
        parts = urlsplit(address)
        inner, from_inside = _is_inner(parts.hostname or ""), _is_inner(urlsplit(source).hostname or "")
    except ValueError as error:  # such as http://[
        raise UserError(
            f"got {credentials.hidden(address)}, which is no address ({error}): check the address"
        ) from None
    secure = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
    # A server elsewhere has no say in what is asked of this machine and its network.
    if secure and parts.hostname and (from_inside or not inner):
        return
    redirection = "" if source == address else f", which redirects to {credentials.hidden(address)}"
    raise UserError(
        f"got {credentials.hidden(source)}{redirection}; takes pypi:NAME==VERSION, https://…, s3://bucket/key or a "
        "local file"
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_inner(host: str) -> bool:
    """Whether a host is this machine, or given by an address that only means something in a network of its own."""
    try:
        return host == "localhost" or not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _validator(response: requests.Response) -> str | None:
    """Returns what proves that the server still has the same file (RFC 9110, 13.1.5: a weak ETag does not)."""
    tag = response.headers.get("ETag", "W/")
    return response.headers.get("Last-Modified") if tag.startswith("W/") else tag


def _noted_validator(url: str, part: Path) -> str | None:
    """Returns the validator under which `part` was downloaded; None where it is no part of `url`."""
    try:
        note = json.loads(_note(part).read_text())
        return note["validator"] if note["url"] == url else None
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        return None
