"""What the URL of an SQLite database means, and what it cannot mean; without SQLAlchemy.

A URL is read as SQLAlchemy 2.1 reads it ("Pysqlite", "URI Connections"): what follows the third slash is
the database, percent-decoded. With `?uri=true` SQLite reads that once more, as its own kind of URI
(https://www.sqlite.org/uri.html), and gets the options of the URL that Python's module does not know.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, unquote_to_bytes

from etl.errors import ConfigurationError

BUSY_SECONDS = 30
"""How long to wait for another writer of a file, unless the URL says otherwise (`?timeout=`)."""

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

_OPTIONS = {"mode", "cache", "vfs", "immutable", "nolock", "psow", "modeof"}
"""Options of SQLite's URIs."""

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
    fault: str | None = None
    """Why SQLAlchemy or we cannot take it, as a part of a sentence."""

    @property
    def is_memory(self) -> bool:
        """Whether what is written there ends with the process."""
        return self.fault is None and self.file is None

    @property
    def is_read_only(self) -> bool:
        """Whether the URL lets nothing be written."""
        return self.options.get("mode") == "ro" or is_true(self.options.get("immutable", ""))

    @property
    def timeout(self) -> float:
        """How long to wait for who writes, in seconds."""
        try:
            return float(self.query.get("timeout", BUSY_SECONDS))
        except ValueError:
            return BUSY_SECONDS


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
    fault = None
    if any(match[part] for part in ("user", "password", "host", "port")):
        fault = (
            "it names a host: write three slashes before a relative path, and four before an absolute one"
        )
    elif len(dict(pairs)) < len(pairs):
        fault = "it has an option twice"
    return _address(name, dict(pairs), fault)


def _address(name: str, query: dict[str, str], fault: str | None = None) -> Address:
    is_uri = query.get("uri", "").strip().lower() in _TRUE
    given = {key: value for key, value in query.items() if key not in _DRIVER}
    options: dict[str, str] = {}
    path: str | None = name
    if is_uri:
        shown = "&".join(f"{key}={given[key]}" for key in sorted(given))
        path, options = _read_uri(f"{name}?{shown}" if given else name)
    if path is None:
        fault = "a host in file://HOST/ can only be localhost"
    elif "\0" in path:
        fault = "a file's name cannot hold NUL"
    in_memory = path in ("", MEMORY) or options.get("mode") == "memory" or options.get("vfs") == "memdb"
    file = None if path is None or in_memory or fault else _real(path, is_uri)
    return Address(
        file, name, query, options, is_uri, fault or _misfit(query, given, options, name, is_uri)
    )


def _misfit(
    query: dict[str, str], given: dict[str, str], options: dict[str, str], name: str, is_uri: bool
) -> str | None:
    """Return what is wrong with the options of a URL that otherwise can be read."""
    if given and not (is_uri and name.startswith("file:")):
        option = min(given.keys() & _OPTIONS, default="OPTION")  # any other may be part of a password
        return f"{option}= is heeded only as in sqlite:///file:PATH?{option}=...&uri=true"
    if options.get("vfs", "unix") not in ("unix", "memdb"):
        return "another vfs= than SQLite's own has other locks"
    if is_true(options.get("nolock", "")):
        return "with nolock= a run's processes would not know of each other"
    if options.get("mode", "rwc") not in ("ro", "rw", "rwc", "memory"):
        return "mode= can be ro, rw, rwc or memory"
    if "timeout" in query and not re.fullmatch(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", query["timeout"].strip()):
        return "timeout= is a number of seconds"
    others = query.keys() & (_DRIVER - {"uri", "timeout"})
    return f"{min(others)}= would change how its transactions and values are treated" if others else None


def is_true(text: str) -> bool:
    """Say whether SQLite takes the text for true (sqlite3GetBoolean)."""
    return text.lower() in ("yes", "true", "on") or (text.isdigit() and int(text) != 0)


def check(url: str, *, writes: bool = True, lasting: bool = True) -> Address:
    """Return what a URL says of an SQLite database that can serve.

    It has to be one that can be written, if `writes`, and one that outlives the process, if `lasting`.

    Raises:
        ConfigurationError: it cannot; the sentence says why.
    """
    address = address_of(url)
    if address is None:
        raise ConfigurationError("the database URL is not SQLite's: write sqlite:///PATH")
    if address.fault is not None:
        raise ConfigurationError(f"the SQLite URL cannot be used: {address.fault}")
    if lasting and address.is_memory:
        raise ConfigurationError(
            "the SQLite URL means a database in memory, which ends with the command: name a file"
            " (sqlite:///PATH)"
        )
    if writes and address.is_read_only:
        raise ConfigurationError(
            "the SQLite URL lets nothing be written (mode=ro or immutable=1), and this command writes"
        )
    return address


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
