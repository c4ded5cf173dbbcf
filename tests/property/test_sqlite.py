"""Which file an SQLite URL means: whatever it says, the one that SQLAlchemy has SQLite open."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import example, given
from hypothesis import strategies as st

from etl.database.sqlite_urls import file_of

PIECES = [
    "a", "b.db", "link", "..", ".", "/", "//", "%20", "%25", "%3F", "%23", "#", "%2520", "%253F", "%26",
    "é", "%C3%A9", "%2500x", "@", ":", ":memory:", "file:", "file://", "localhost/", "host/", "\udcff",
    " ", "&", "=", "+", "\n", "%",
]  # fmt: skip
OPTIONS = {
    "uri": ["true", "1", "no", " Yes "],
    "mode": ["ro", "rw", "rwc", "memory", "other", ""],
    "cache": ["shared", "private"],
    "timeout": ["5"],
    "immutable": ["1"],
    "nolock": ["1"],
    "vfs": ["unix", "unix-none"],
}


def leads_away(pieces: list[str]) -> bool:
    """Whether a path may be one of the root's, where a test creates nothing."""
    return bool(pieces) and pieces[0][0] == "/"


STARTS = ["/", "/./", "/HERE/", "/file:", "/file:HERE/", "/file://HERE/", "/file://localhostHERE/"]
urls = st.builds(
    lambda driver, start, pieces, options: (
        f"sqlite{driver}://{start}{''.join(pieces)}"
        + ("?" + "&".join(f"{name}={value}" for name, value in options.items()) if options else "")
    ),
    st.sampled_from(["", "+pysqlite"]),
    st.sampled_from([*STARTS, *STARTS, ""]),
    st.lists(st.sampled_from(PIECES), max_size=5).filter(lambda pieces: not leads_away(pieces)),
    st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in OPTIONS.items()}),
)  # fmt: skip


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("files").resolve() / "1" / "2" / "3" / "4" / "5"  # ".." may lead up
    (folder / "elsewhere" / "deep").mkdir(parents=True)
    (folder / "link").symlink_to("elsewhere/deep")
    (folder / "b.db").symlink_to("elsewhere/real.db")
    before = Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def opened_by_sqlite(url: str) -> str | None:
    """Return the main database's file, as SQLite says; raises what it says if it opens none."""
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.text_factory = bytes
            (file,) = [row[2] for row in raw.execute("PRAGMA database_list") if row[1] == b"main"]
            return os.fsdecode(file) or None
    finally:
        engine.dispose()


@given(urls)
@example("sqlite://")
@example("sqlite:///")
@example("sqlite:///:memory:")
@example("sqlite:///file::memory:?cache=shared&uri=true")
@example("sqlite:///file:?uri=true")
@example("sqlite:///file:b.db?mode=rwc&uri=true")
@example("sqlite:///b.db?timeout=5")
@example("sqlite:///link/../a")
@example("sqlite:///file:link/../a?uri=true")
@example("sqlite:///HERE/a%20b%3F%23%25")
@example("sqlite:///file:a%2520b%253F%2523%2525?uri=true")
def test_the_file_is_the_one_that_sqlite_opens(here: Path, url: str) -> None:
    url = url.replace("HERE", str(here))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of options that have no effect
        try:
            opened = opened_by_sqlite(url)
        except (sa.exc.SQLAlchemyError, ValueError, TypeError, UnicodeError):
            file_of(url)  # whatever it is: nothing is opened
            return
    assert file_of(url) == opened


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///a", "sqlite:a", "sqlite:/a", "a", "", "sqlite://host/a", "sqlite://u:p@/a",
        "sqlite3:///a", "sqlite:///a%00b", "sqlite:///file:a?vfs=memdb&uri=true",
        "sqlite:///file:a?mode=memory&uri=true", "sqlite:///file:a?uri=true&mode=ro&mode=rw",
    ],
)  # fmt: skip
def test_no_file_is_meant(url: str) -> None:
    assert file_of(url) is None


def test_a_byte_that_is_no_text_is_kept(here: Path) -> None:
    assert file_of("sqlite:///\udcff") == file_of("sqlite:///%FF") == f"{here}/\udcff"
