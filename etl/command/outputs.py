"""The files that a run writes: none is one that it reads, and none replaces what is of another kind.

Files are the same by device and inode, whatever leads to them: links, other spellings, descriptors. One
that is not there yet is known by its folder's inode and its name. All is judged before anything is touched.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from etl.declare.destination import Destination
from etl.declare.location import Source
from etl.errors import ConfigurationError
from etl.file_kinds import FileKind
from etl.redaction import redacted

HEAD_BYTES = 4096
"""How much of a file tells its kind."""


class StandardOutputTaken(ConfigurationError):
    """Standard output goes to a file of the run: not even a report may be printed."""


_REJECT = re.compile(rb'\s*\{\s*"offset"\s*:\s*\d+\s*,\s*"key"\s*:')
REJECTS = FileKind("a file of rejects", _REJECT, is_stream=True)
_FEED = re.compile(rb"\s*[\[{]|\x28\xb5\x2f\xfd|\x1f\x8b|BZh|\x04\x22\x4d\x18")
FEED = FileKind("a feed", _FEED, is_stream=True)


@dataclass(frozen=True)
class Place:
    """A file that a run reads or, if it has a `kind`, writes."""

    name: str
    """As the user knows it."""
    file: Path | int
    """A descriptor is one of the standard streams."""
    kind: FileKind | None = None
    beside: tuple[Path, ...] = ()
    """Further files that come and go with it."""
    replaces: bool = False
    """The files beside it are of its kind, and replaced as it is."""
    holds_rows: bool = False
    """It is standard output, and rows go there."""

    @property
    def is_written(self) -> bool:
        """Whether it must not be what anybody else reads or writes."""
        return self.kind is not None or self.file in (1, 2)

    def identities(self) -> Iterator[tuple[str, object]]:
        """Yield how each of its files is called in a sentence, and what it is known by."""
        yield self.name, identity(self.file)
        for path in self.beside:
            yield f"{_shown(path)} (which belongs to {self.name})", identity(path)


def places(
    sources: Sequence[Source], options: Mapping[str, Any], settings: Path | None, destination: Destination
) -> list[Place]:
    """Return all files that a run reads and writes, by its options: each that is a path is one.

    `settings` is the file that settings were read from.
    """
    rows = destination.is_standard_output
    name = f"--output {options.get('output')} (standard output)" if rows else "standard output"
    streams = (name, sys.__stdout__, 1), ("standard error", sys.__stderr__, 2)
    # One that was closed from the start may be anything by now.
    found = [
        Place(name, number, holds_rows=rows and number == 1)
        for name, stream, number in streams
        if stream is not None
    ]
    for source in sources:
        file = (0 if sys.__stdin__ is not None else None) if source.uri == "-" else source.path
        if file is not None:
            found.append(Place(f"the source {source.shown}", file))
    if settings is not None:
        found.append(Place(f"the settings file {_shown(settings)}", settings))
    for option, path in options.items():
        if option == "rejects_file" and path is not None:
            found.append(Place(f"--rejects {_shown(path)}", path, REJECTS))
        elif isinstance(path, Path) and option != "output":
            found.append(Place(f"--{option.replace('_', '-')} {_shown(path)}", path))
    if destination.file is not None:
        shown = f"--output {_shown(options['output'])}"
        kind, beside = destination.file_kind, tuple(destination.files_beside)
        found.append(Place(shown, Path(options["output"]), kind, beside, replaces=True))
    target = options["database"]
    if target.file is not None:
        name, database = f"--database {redacted(target.url)}", target.database
        beside = tuple(map(Path, database.files_beside))
        found.append(Place(name, Path(target.file), database.file_kind, beside))
    return found


def check(found: Sequence[Place], overwrite: bool = False) -> None:
    """See that what is written is nothing else that is read or written, and of its own kind if it is there.

    Raises:
        ConfigurationError: it is not; one sentence that names both.
    """
    for one, other in combinations(found, 2):
        if not (one.is_written or other.is_written) or _may_share(one, other):
            continue
        for name, known in one.identities():
            for other_name, other_known in other.identities():
                if known is not None and known == other_known:
                    late = one.kind is None and other.kind is not None
                    written, read = (other_name, name) if late else (name, other_name)
                    kind = StandardOutputTaken if 1 in (one.file, other.file) else ConfigurationError
                    raise kind(f"{written} is the same file as {read}: nothing was touched")
    streams = [identity(place.file) for place in found if isinstance(place.file, int)]
    for place in found:
        if place.kind is not None and identity(place.file) not in [s for s in streams if s is not None]:
            _check_kind(place, place.kind, overwrite)


def identity(file: Path | int) -> object:
    """Return what a file is known by; None for a device, which many may use.

    A name that is not taken yet is told from others as the file system would: by case, if that matters.
    """
    try:
        status = os.stat(file)
    except (OSError, ValueError):
        if isinstance(file, int):
            return None
        try:
            return _of_name(os.path.realpath(file))
        except (OSError, ValueError):  # the working directory is gone: nothing can be opened there
            return None
    return None if stat.S_ISCHR(status.st_mode) else (status.st_dev, status.st_ino)


def _of_name(path: str) -> object:
    folder, name = os.path.split(path)
    try:
        status = os.stat(folder)
    except (OSError, ValueError):
        return path
    return status.st_dev, status.st_ino, name.casefold() if _ignores_case(folder) else name


def _ignores_case(folder: str) -> bool:
    """Say whether names in a folder are the same in any case, as far as those that are there tell."""
    try:
        names = [name for name in os.listdir(folder) if name.swapcase() != name][:1]
        names = [os.path.join(folder, name) for name in names] or [folder]
        return any(
            os.path.samefile(path, os.path.join(os.path.dirname(path), os.path.basename(path).swapcase()))
            for path in names
        )
    except OSError:
        return False


def _may_share(one: Place, other: Place) -> bool:
    """Say whether two may be one file: standard output and error, and rejects that are written to these."""
    streams = [place for place in (one, other) if place.file in (1, 2)]
    if REJECTS in (one.kind, other.kind) and (one.holds_rows or other.holds_rows):
        return False
    return len(streams) == 2 or (len(streams) == 1 and REJECTS in (one.kind, other.kind))


def _check_kind(place: Place, kind: FileKind, overwrite: bool) -> None:
    for path in (place.file, *(place.beside if place.replaces else ())):
        assert isinstance(path, Path)
        name = place.name if path == place.file else _shown(path)
        try:
            status = os.stat(path)
        except (OSError, ValueError):  # not there, or as whoever opens it will say
            continue
        if stat.S_ISREG(status.st_mode):
            if status.st_size and not (overwrite and kind.may_replace):
                _check_head(path, name, kind)
        elif not kind.is_stream or stat.S_ISDIR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise ConfigurationError(f"{name} is {what}, and cannot become {kind.name}")


def _check_head(path: Path, name: str, kind: FileKind) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise ConfigurationError(f"{name} is there and cannot be looked at: {error.strerror}") from None
    if not kind.head.match(head):
        but = "it is not replaced without --overwrite" if kind.may_replace else "it was not touched"
        raise ConfigurationError(f"{name} is there and is not {kind.name}: {but}")


def _shown(path: Path | str) -> str:
    return redacted(str(path))
