"""URLs as they may be shown, whatever they hold and however they are spelled.

What may be secret in a URL is told by its letters and not by a parser: a password with a slash, a `#` or an
`@` makes it another URL, or none, and its parts then stand where a host or a path should.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote, unquote_plus

NOT_A_URL = "(not a URL)"

_SCHEME = r"[A-Za-z][A-Za-z0-9+.\-]*"

_LIKE_URL = re.compile(
    # A scheme and a slash anywhere, as something may stand before it; user and password; a known scheme.
    rf"{_SCHEME}:[/\\]|\A[^/]*:.*@|\A\s*(?:https?|ftps?|sftp|file|s3|gs|az|postgres|postgresql|sqlite)\b"
    r"(?:\+\w+)?:",
    re.IGNORECASE | re.DOTALL,
)

_USABLE = re.compile(
    rf"(?P<scheme>{_SCHEME})://(?P<user>[^/?#]*@)?"
    r"(?P<host>[^\s/?#@:\\\[\]<>\"]*|\[[0-9A-Fa-f:.%\w]+\])(?::(?P<port>[0-9]{0,5}))?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?P<fragment>#.*)?"
)
"""RFC 3986, section 3, as far as parsers agree on it."""

_HIDDEN = re.compile(rf"{_SCHEME}:(?:[/\\]|(?=.*@)).*", re.DOTALL)

_WITHOUT_HOST = re.compile(r"file|sqlite(?:\+\w+)?", re.IGNORECASE)


def is_like_url(text: str) -> bool:
    """Say whether a text is a URL or was perhaps meant to be one; if not, it is a path.

    A file with such a name is a path all the same with `./` before it, if there is no `x:/` in it.
    """
    return _LIKE_URL.search(text) is not None


def usable(url: str) -> re.Match[str] | None:
    """Return scheme, user, host, port, path, query and fragment of a URL; None if it is none to be used."""
    parts = _USABLE.fullmatch(url)
    if parts is None or not (parts["host"] or _WITHOUT_HOST.fullmatch(parts["scheme"])):
        return None
    clean = not any(ord(character) < 32 or ord(character) == 127 for character in url)
    return parts if clean and 0 <= int(parts["port"] or 0) < 1 << 16 else None


def redacted(text: str) -> str:
    """Return a path or a URL fit to be shown.

    Of a URL neither what stands between the scheme and the last `@` is shown, nor its query and fragment;
    of one that cannot be used, nothing.
    """
    if not is_like_url(text):
        return text.encode(errors="backslashreplace").decode()  # a file's name may be no text
    parts = usable(text)
    if parts is None:
        return NOT_A_URL
    scheme, path = parts["scheme"], parts["path"] or ""
    if "@" in (parts["query"] or "") + (parts["fragment"] or ""):  # in a password, or in a value?
        return f"{scheme}://…"
    if "@" in path:
        shown = f"…@{path.rpartition('@')[2]}"
    else:
        port = f":{parts['port']}" if parts["port"] else ""
        shown = f"{parts['host']}{port}{path}"
    return f"{scheme}://{shown}".encode(errors="backslashreplace").decode()


def without_urls(text: str) -> str:
    """Return a message without the URL that it repeats, and what follows it."""
    return _HIDDEN.sub("…", text)


def without(text: str, secrets: Iterable[str]) -> str:
    """Return a message without certain words, in quotation marks or not, however they are cased."""
    for secret in sorted({word for word in secrets if word}, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "…", text, flags=re.IGNORECASE)
    return text


def secrets_of(url: str) -> set[str]:
    """Return what must not be shown of a URL, in every spelling that a message may have of it.

    That is what stands between the scheme and the last `@`, and the values of the query, whole and in part.
    """
    _, _, rest = url.partition("://")
    before, at, after = rest.rpartition("@")
    _, _, query = (after if at else rest).partition("?")
    found = {before} | {pair.partition("=")[2] for pair in re.split("[&;#]", query)}
    found |= set(re.split(r"[:@/?#&=]", before))
    return {text for part in found for text in (part, unquote(part), unquote_plus(part))} - {""}
