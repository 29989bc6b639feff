"""Passwords and tokens in addresses: Git would keep them with params.yaml, and messages would print them."""

import re

# Of a query, as Amazon, Azure, Google and others name them. Written so that JavaScript reads it too, in the schema.
NAMES = (
    "[Pp]assword|passwd|pwd|secret|[Tt]oken|access_token|auth|api_?[Kk]ey|access_?[Kk]ey|sig|[Ss]ignature"
    "|X-(Amz|Goog)-(Signature|Credential|Security-Token)"
)
# Before an @; or, of a password with a slash in it, what stands in the place of the port and is no number.
LOGIN = "://[^/?#]*@|://[^/?#[]*:[0-9]*[^0-9/?#[]"
QUERY = f"[?&]({NAMES})=[^&#]"
PATTERN = f"{LOGIN}|://.*{QUERY}"


def where(address: str) -> str | None:
    """Where an address has credentials: `login` (before an @) or `query`; None where it has none."""
    if re.search(LOGIN, address):
        return "login"
    return "query" if re.search(f"://.*{QUERY}", address) else None


def hidden(text: str) -> str:
    """The text with … in the place of the credentials in the addresses in it."""
    return re.sub(r"://\S+", lambda address: _without(address[0]), text)


def _without(address: str) -> str:
    if where(address) == "login":
        address = "://…" + "".join(address.rpartition("@")[1:])
    return re.sub(f'([?&])({NAMES})=[^&#"]+', r"\1\2=…", address)
