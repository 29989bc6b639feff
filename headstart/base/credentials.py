"""Passwords and tokens in addresses: Git would keep them with params.yaml, and messages would print them."""

import re


def _any_case(pattern: str) -> str:
    # JavaScript, which reads the schema, has no (?i) for a pattern.
    return re.sub("[a-z]", lambda letter: f"[{letter[0].upper()}{letter[0]}]", pattern)


# Of a query, as Amazon, Azure, Google and others name them: `key` and `code` are secrets too. Of a longer name the last
# word counts.
NAMES = _any_case(
    "[^?&;#=]*(?:password|passwd|secret|token|signature|credentials?)|(?:[^?&;#=]*[_.-])?(?:auth|pwd|sig|key)|code"
    "|(?:api|access|account|private|subscription)key|authorization|passphrase|awsaccesskeyid|googleaccessid"
    "|x-(?:amz|goog)-[^?&;#=]*"
)
# A password before an @; or, of one with a slash in it, what stands in the place of the port and is no number.
PASSWORD = "://[^/?#]*:[^/?#]*@|://[^/?#[]*:[0-9]*[^0-9/?#[]"
LOGIN = f"://[^/?#]*@|{PASSWORD}"
QUERY = f"[?&;](?:{NAMES})=[^&;#]"
PATTERN = f"{LOGIN}|://.*{QUERY}"


def where(address: str) -> str | None:
    """Where an address has credentials: `login` (before an @) or `query`; None where it has none."""
    if re.search(LOGIN, address):
        return "login"
    return "query" if re.search(f"://.*{QUERY}", address) else None


def has_secret(address: str) -> bool:
    """Whether an address has a password or a token; the name of a user alone is none."""
    return re.search(PASSWORD, address) is not None or where(address) == "query"


def hidden(text: str) -> str:
    """The text with … in the place of the credentials in the addresses in it."""
    text = re.sub('://[^/?#"]*@', "://…@", text)  # a password may have spaces in it
    text = re.sub(r"://\S+", lambda address: _without_login(address[0]), text)
    return re.sub(rf'([?&;](?:{NAMES}))=[^&;#"\s]+', r"\1=…", text)


def shown(address: str) -> str:
    """An address as it may be shown: `hidden`, also where it is written as scp does, name:password@host:folder."""
    login, at, rest = address.rpartition("@")
    return f"…{at}{rest}" if "://" not in address and ":" in login else hidden(address)


def _without_login(address: str) -> str:
    if where(address) != "login":
        return address
    return "://…" + "".join(address.rpartition("@")[1:]) if "@" in address else "://…"
