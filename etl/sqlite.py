"""SQLite's files: which one a database URL means, told without SQLAlchemy, which takes long to import.

A URL is read as SQLAlchemy 2.1 reads it ("Pysqlite", "URI Connections"): what follows the third slash is
the database, percent-decoded. With `?uri=true` SQLite reads that once more, as its own kind of URI
(https://www.sqlite.org/uri.html), and gets the options of the URL that Python's module does not know.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, unquote_to_bytes

MEMORY = ":memory:"
"""What SQLite takes as the name of a database in memory."""

_URL = re.compile(
    r"(?P<name>[\w+]+)://"
    r"(?:(?P<user>[^:/]*)(?::(?P<password>[^@]*))?@)?"
    r"(?:\[[^/?]+\]|(?P<host>[^/:?]+))?(?::(?P<port>[^/?]*))?"
    r"(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?"
)
"""As `sqlalchemy.engine.url` has it."""

_DRIVER = {"uri", "timeout", "isolation_level", "detect_types", "check_same_thread", "cached_statements"}
"""Options of Python's module `sqlite3`; all others are SQLite's."""

_TRUE = {"true", "yes", "on", "y", "t", "1"}


@dataclass(frozen=True)
class Address:
    """What a URL says of an SQLite database."""

    file: str | None
    """The file, as an absolute path through no link; None if it is in memory, temporary or unusable."""
    name: str
    """What the URL calls it, decoded once: a path, or a URI of SQLite's."""
    query: dict[str, str] = field(default_factory=dict)
    """All options that the URL gives."""
    options: dict[str, str] = field(default_factory=dict)
    """SQLite's own, wherever they are given: mode, cache, vfs, immutable, nolock, ..."""
    is_uri: bool = False


def file_of(url: str) -> str | None:
    """Return the file that a database URL means, as an absolute path through no link.

    None: a database in memory or a temporary one, a URL that cannot be used, or not SQLite's. The file need
    not be there.
    """
    address = address_of(url)
    return None if address is None else address.file


def address_of(url: str) -> Address | None:
    """Return what a URL says of an SQLite database; None if it is of another one, or not a URL."""
    match = _URL.match(url)
    if match is None or match["name"] not in ("sqlite", "sqlite+pysqlite"):
        return None
    name = unquote(match["database"] or "", errors="surrogateescape")
    pairs = parse_qsl(match["query"] or "", errors="surrogateescape")
    query = dict(pairs)
    is_uri = query.get("uri", "").strip().lower() in _TRUE
    given = {key: value for key, value in query.items() if key not in _DRIVER}
    options: dict[str, str] = {}
    path: str | None = name
    if is_uri:
        text = name
        if given:
            text += "?" + "&".join(f"{key}={given[key]}" for key in sorted(given))
        path, options = _read_uri(text)
    if any(match[part] for part in ("user", "password", "host", "port")) or len(query) < len(pairs):
        path = None  # there is no server, and SQLAlchemy makes no sense of an option that is given twice
    in_memory = path in (None, "", MEMORY) or options.get("mode") == "memory"
    file = None if path is None or in_memory or options.get("vfs") == "memdb" else _real(path, is_uri)
    return Address(file, name, query, options, is_uri)


def _real(path: str, is_uri: bool) -> str | None:
    """Return where a path leads, whether or not anything is there."""
    try:
        # As SQLAlchemy does with plain names, which matters to `..` after a link.
        return os.path.realpath(path if is_uri else os.path.abspath(path))
    except FileNotFoundError:  # of a folder that is no more
        return path
    except (OSError, ValueError):  # such as a path with a NUL
        return None


def _read_uri(text: str) -> tuple[str | None, dict[str, str]]:
    """Return path and options of a name that may be a URI, as SQLite's sqlite3ParseUri reads it.

    What is not a URI is a name as a whole; None is the path of a URI that SQLite refuses.
    """
    raw = os.fsencode(text.partition("\0")[0])
    if not raw.startswith(b"file:"):
        return os.fsdecode(raw), {}
    rest = raw[5:].partition(b"#")[0]
    if rest.startswith(b"//"):
        authority, slash, rest = rest[2:].partition(b"/")
        rest = slash + rest
        if authority not in (b"", b"localhost"):
            return None, {}
    path, _, query = rest.partition(b"?")
    options = {}
    for pair in query.split(b"&"):
        key, _, value = pair.partition(b"=")
        if key:
            options[_decoded(key)] = _decoded(value)
    return _decoded(path), options


def _decoded(raw: bytes) -> str:
    """Decode escapes; an escaped NUL hides the rest of a part."""
    return os.fsdecode(unquote_to_bytes(raw).partition(b"\0")[0])
