"""What a URL with several hosts means to libpq; and that nothing is told of one that is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.database import postgresql_urls as urls
from etl.database.target import Target
from etl.errors import ConfigurationError

names = st.text("abz09.-_%@:/?#[], é", max_size=8)


def escaped(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


hosts = st.tuples(
    st.sampled_from(["h1", "127.0.0.1", "[::1]", "%2Ftmp"]), st.sampled_from(["", ":", ":54"])
)


@given(
    st.lists(hosts, min_size=2, max_size=3),
    st.none() | st.tuples(names, st.none() | names),
    names,
    st.sampled_from(["", "?target_session_attrs=read-write&connect_timeout=3"]),
)
def test_several_hosts_are_what_libpq_takes_them_for(
    hosts: list[tuple[str, str]], who: tuple[str, str | None] | None, name: str, query: str
) -> None:
    user = ""
    if who is not None:
        user = escaped(who[0]) + ("" if who[1] is None else f":{escaped(who[1])}") + "@"
    url = f"postgresql://{user}{','.join(map(''.join, hosts))}/{escaped(name)}{query}"
    parse_dsn = pytest.importorskip("psycopg2.extensions").parse_dsn  # libpq's own reading
    expected = {key: value for key, value in parse_dsn(url).items() if value}
    found = urls.libpq_parameters(url)
    assert urls.has_several_hosts(url)
    if not any(port.strip(":") for _, port in hosts):
        expected.pop("port", None)
        found.pop("port", None)
    assert found == expected


@pytest.mark.parametrize(
    "url",
    ["postgresql://a,b:x/d", "postgresql://u:p@[::1,b/d", "postgres://u:1,2@h:3x,i/d", "postgresql://h:1:2,b/d"],
)  # fmt: skip
def test_hosts_that_cannot_be_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        urls.libpq_parameters(url)


SECRET = "canary"
WRONG = ["{}", "u:{}@h/d", "//u:{}@h/d", "x://u:{}@h/d", "mysql://u:{}@h/d", "postgresql+x://u:{}@h/d",
         "postgresql://u:a@{}@h/d", "postgresql://h/d@{}", "postgresql:/u:{}@h/d", "sqlite://u:{}@h/d",
         "sqlite://{}/d", "sqlite:///d?mode={}", "sqlite:///file:d?uri=true&mode={}", "sqlite:///d?timeout={}",
         "sqlite:///file://{}/d?uri=true", "SQLITE://u:{}@h/d", "postgresql://u:{}", "jdbc:x://u:{}@h/d",
         "password={} host=h"]  # fmt: skip


@pytest.mark.parametrize("form", WRONG)
@pytest.mark.parametrize(
    "secret", [SECRET, f"/{SECRET}", f"a?{SECRET}", f"#{SECRET}", f"1:{SECRET}", f"%{SECRET}"]
)
def test_nothing_of_a_url_that_is_refused_is_told(form: str, secret: str) -> None:
    assert SECRET not in told_of(form.format(secret))


def told_of(url: str) -> str:
    """What is said of a URL, if it is refused."""
    try:
        database = Target(url).database
        database.check()
        database.engine().dispose()
    except ConfigurationError as error:
        return error.message
    return ""
