"""What must not be shown of a URL is not, wherever it stands and whatever letters it is made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.declare.location import Source
from etl.redaction import NOT_A_URL, is_like_url, redacted, secrets_of, without, without_urls

CANARY = "canary"
ODD = st.text(st.sampled_from("/?#@:%&=+;,.~-_!$'()*[]\\\"<>|^`{} aZ9é\u202e\t\n"), max_size=4)
SECRETS = st.builds("{}{}{}".format, ODD, st.just(CANARY), ODD)
SCHEMES = st.sampled_from(["http", "https", "HTTP", "postgresql", "postgresql+psycopg2", "ftp", "s3"])
SLASHES = st.sampled_from(["://", ":/", ":///", ":\\\\", ":\\", ":"])
PLACES = st.sampled_from(
    [
        "{s}{d}user:{x}@host/feed", "{s}{d}{x}@host/feed", "{s}{d}{x}:pass@host/feed",
        "{s}{d}user:{x}@host:80",
        "{s}{d}user:{x}@host/feed?a=b#c", "{s}{d}user:{x}@host/f@g",
        " {s}{d}user:{x}@host", "'{s}{d}user:{x}@host'", "URL={s}{d}user:{x}@host",
    ]
)  # fmt: skip


@given(SCHEMES, SLASHES, PLACES, SECRETS)
def test_users_and_passwords_are_never_shown(scheme: str, slashes: str, place: str, secret: str) -> None:
    url = place.format(s=scheme, d=slashes, x=secret)
    if slashes == ":" and not place.startswith("{s}"):
        return  # "URL=x:..." may be a file's name, and is no scheme's
    assert CANARY not in redacted(url), url
    assert CANARY not in Source(url).shown
    assert CANARY not in without_urls(f"No such command: {url}")


@given(st.sampled_from(["http", "https", "ftp", "postgresql"]), ODD, SECRETS)
def test_queries_and_fragments_are_never_shown(scheme: str, before: str, secret: str) -> None:
    for mark in ("?", "#", "?token=", "?a=b&token=", "?x#"):
        url = f"{scheme}://host/{before}{mark}{secret}"
        assert CANARY not in redacted(url), url


@given(SECRETS, st.sampled_from(["{} is not known", 'host "{}" is not', "user {}: failed"]))
def test_what_a_driver_repeats_is_hidden(secret: str, said: str) -> None:
    """Nothing that a parser may take for a part of the URL."""
    url = f"postgresql://etl:{secret}@host/deals?sslpassword={CANARY}2"
    words = secrets_of(url)
    for word in words:
        if word[:1].isalnum() and word[-1:].isalnum():
            assert f" {word} " not in f" {without(said.format(word), words)} "
    assert CANARY not in without(said.format(CANARY + "2"), words)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://host/feed", "http://host/feed"),
        ("https://host:8443/a/b.json.zst?X-Amz-Signature=s", "https://host:8443/a/b.json.zst"),
        ("http://[::1]:80/feed#x", "http://[::1]:80/feed"),
        ("https://host/name@1.2/feed", "https://…@1.2/feed"),
        ("http://host/feed?mail=a@b", "http://…"),
        ("http://user:p@ss@host/feed", "http://host/feed"),
        ("http://user:1/2@host/feed", "http://…@host/feed"),
        ("http://user:pass", NOT_A_URL),
        ("http:///feed", NOT_A_URL),
        ("http:/user:pass@host", NOT_A_URL),
        ("https:\\\\host", NOT_A_URL),
        ("user:pass@host/feed", NOT_A_URL),
        ("postgresql:etl:pass@host", NOT_A_URL),
        ("http://host:99999/", NOT_A_URL),
        ("file:///data/feed", "file:///data/feed"),
        ("sqlite:///deals.db?timeout=5", "sqlite:///deals.db"),
    ],
)
def test_what_is_left_can_be_read(text: str, shown: str) -> None:
    assert is_like_url(text)
    assert redacted(text) == shown


@pytest.mark.parametrize(
    "path", ["feed.json", "./user:pass@host", "/data/a:b@c", "2026-11-25T01:00.json", "a b", "feed:1"]
)
def test_a_path_is_one(path: str) -> None:
    assert not is_like_url(path)
    assert redacted(path) == path
    assert Source(path).scheme == ""


def test_a_host_that_is_a_user_is_not_repeated() -> None:
    source = Source("http://canary:1/secret@host/feed")
    assert source.without_secrets("not valid for 'Canary'") == "not valid for '…'"
