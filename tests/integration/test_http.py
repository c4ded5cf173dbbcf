"""Over HTTP: all of one version of a feed arrives, or an error that says why not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import etl.source.connections
from etl.declare.location import Patience
from etl.errors import SourceUnavailable, TruncatedFeed
from etl.source.connections import connected
from etl.source.feed import Source, Version, errors_named, open_feed
from tests.support.effort import examples
from tests.support.web_server import (
    Answer,
    Web,
    answer_with,
    certified,
    chunked,
    in_turn,
    part,
    resumable,
    serving,
    then_reset,
    then_stall,
    whole,
)

BODY = bytes(number % 251 for number in range(100_000))
SIZE = len(BODY)
ONE, TWO = {"ETag": '"1"'}, {"ETag": '"2"'}
QUICK = Patience(read_seconds=0.2, pause_seconds=0.001, longest_pause_seconds=0.01, busy_seconds=5)
BRIEF = replace(QUICK, busy_seconds=0.3)
"""For a server that stays busy."""


def fetched(source: str | Source, known: Version | None = None, patience: Patience = QUICK) -> bytes | None:
    """The bytes of a feed; None if it still is in the version known."""
    source = Source(source) if isinstance(source, str) else source
    with errors_named(source), open_feed(source, known, patience) as feed:
        if feed is None:
            return None
        parts, buffer = [], bytearray(30_000)
        while count := feed.readinto(memoryview(buffer)):
            parts.append(bytes(buffer[:count]))
        return b"".join(parts)


def refused(source: str | Source, patience: Patience = QUICK) -> str:
    """Why a feed is unavailable."""
    with pytest.raises(SourceUnavailable) as caught:
        fetched(source, patience=patience)
    return caught.value.message


def dated(seconds_ago: int) -> dict[str, str]:
    """The header of a feed that was changed some seconds ago."""
    time = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return {"Last_Modified": format_datetime(time, usegmt=True)}


# Resumed ---------------------------------------------------------------------------------------------


def test_a_transfer_is_resumed_where_it_broke(web: Web) -> None:
    url = web.serve(in_turn(whole(BODY, 12_345, **ONE), part(BODY, 12_345, **ONE)))
    assert fetched(url) == BODY
    assert web.sent("Range") == [None, "bytes=12345-"]
    assert web.sent("If-Range") == [None, '"1"']


@pytest.mark.parametrize("breaks", [then_reset, then_stall])
def test_a_transfer_is_resumed_however_it_breaks(web: Web, breaks: Callable[[Answer], Answer]) -> None:
    first = breaks(whole(BODY, 50_000, **ONE))
    assert fetched(web.serve(in_turn(first, resumable(BODY, [], **ONE)))) == BODY
    assert len(web.requests) == 2


@pytest.mark.parametrize("end", [b"", b"5\r\n" + BODY[50_000:50_002]], ids=["no end", "cut in a chunk"])
def test_a_chunked_transfer_is_resumed(web: Web, end: bytes) -> None:
    first = chunked(BODY[:50_000], end, **ONE)
    assert fetched(web.serve(in_turn(first, resumable(BODY, [20_000], **ONE)))) == BODY
    assert len(web.requests) == 3


@settings(max_examples=examples(40))
@given(cuts=st.lists(st.integers(1, SIZE), max_size=8), chunks=st.booleans())
def test_what_is_read_is_what_was_served(cuts: list[int], chunks: bool) -> None:
    with serving() as web:
        first = chunked(BODY[: cuts[0]], b"", **ONE) if chunks and cuts and cuts[0] < SIZE else None
        rest = resumable(BODY, cuts[1:] if first else cuts, **ONE)
        assert fetched(web.serve(in_turn(first, rest) if first else rest)) == BODY


def test_progress_makes_patience_new(web: Web) -> None:
    cuts = [1] * 4 * QUICK.attempts
    assert fetched(web.serve(resumable(BODY, cuts, **ONE))) == BODY
    assert len(web.requests) == len(cuts) + 1


def test_patience_ends_all_the_same(web: Web) -> None:
    url = web.serve(resumable(BODY, [1] * 10, **ONE))
    message = refused(url, Patience(pause_seconds=0.001, resumptions=7))
    assert message.endswith(
        f"the transfer ended after 8 of {SIZE:,} bytes; given up after 7 attempts to resume"
    )


def test_a_part_of_what_is_left_is_a_step(web: Web) -> None:
    span = f"bytes 1000-2999/{SIZE}"
    some = answer_with(BODY[1000:3000], 206, ETag='"1"', Content_Range=span)
    assert fetched(web.serve(in_turn(whole(BODY, 1000, **ONE), some, part(BODY, 3000, **ONE)))) == BODY


BUSY = [408, 429, 500, 502, 503, 504]


@pytest.mark.parametrize("status", BUSY)
def test_a_server_that_is_busy_is_asked_again(web: Web, status: int) -> None:
    busy = [answer_with(status=status)] * 3 * QUICK.attempts
    answers = *busy, whole(BODY, 1000, **ONE), *busy, part(BODY, 1000, **ONE)
    assert fetched(web.serve(in_turn(*answers))) == BODY


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501, 505])
def test_a_server_that_will_not_serve_is_not_asked_again(web: Web, status: int) -> None:
    assert f"HTTP status {status}" in refused(web.serve(answer_with(status=status)))
    assert len(web.requests) == 1


def test_a_server_that_stays_busy_is_given_up(web: Web) -> None:
    url = web.serve(in_turn(whole(BODY, 1000, **ONE), answer_with(status=503)))
    reason = f"{url}: the transfer broke after 1,000 of {SIZE:,} bytes: HTTP status 503 Service Unavailable"
    started = time.monotonic()
    message = refused(url, BRIEF)
    assert 0.3 <= time.monotonic() - started < 5
    assert message == f"{reason}; given up after {len(web.requests) - 1} attempts to resume"
    assert len(web.requests) > 1 + QUICK.attempts


def test_pauses_grow(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    refused(web.serve(in_turn(whole(BODY, 1000, **ONE), lambda request: None)), Patience())
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2]


def test_a_time_that_is_no_other_versions_is_enough(web: Web) -> None:
    old = dated(62)
    assert fetched(web.serve(in_turn(whole(BODY, 1000, **old), part(BODY, 1000, **old)))) == BODY
    assert web.sent("If-Range") == [None, old["Last_Modified"]]


@pytest.mark.parametrize(
    ("etag", "seconds_ago"), [({}, None), ({}, 30), ({"ETag": 'W/"1"'}, None), ({"ETag": 'W/"1"'}, 100)]
)
@pytest.mark.parametrize("chunks", [False, True])
def test_a_version_that_does_not_stand_for_bytes_is_not_resumed(
    web: Web, etag: dict[str, str], seconds_ago: int | None, chunks: bool
) -> None:
    version = etag if seconds_ago is None else etag | dated(seconds_ago)
    broken = chunked(BODY[:1000], b"", **version) if chunks else whole(BODY, 1000, **version)
    with pytest.raises(SourceUnavailable if chunks else TruncatedFeed, match=r"after 1,000\b"):
        fetched(web.serve(in_turn(broken, part(BODY, 1000, **version))))
    assert len(web.requests) == 1


def test_a_body_that_starts_anew_is_read_on_if_it_is_the_same(web: Web) -> None:
    answers = whole(BODY, 40_000, **ONE), whole(BODY, 10_000, **ONE), whole(BODY, 70_000, **ONE)
    assert fetched(web.serve(in_turn(*answers, whole(BODY, **ONE)))) == BODY
    assert len(web.requests) == 4


def test_a_body_that_starts_anew_may_break_before_it_comes_to_what_is_new(web: Web) -> None:
    answers = whole(BODY, 1000, **ONE), whole(BODY, 500, **ONE), part(BODY, 1000, **ONE)
    assert fetched(web.serve(in_turn(*answers))) == BODY


def test_a_body_that_starts_anew_does_not_end_before_the_first(web: Web) -> None:
    url = web.serve(in_turn(chunked(BODY[:1000], b"", **ONE), chunked(BODY[:500], **ONE)))
    assert "the transfer ended after 1,000 bytes; given up" in refused(url)


# Not spliced -----------------------------------------------------------------------------------------

CUT = 1000
SHIFTED = {"Content_Range": f"bytes {CUT - 1}-{SIZE - 1}/{SIZE}"}
GROWN = {"Content_Range": f"bytes {CUT}-{SIZE - 1}/{SIZE + 1}"}
CHANGED = f"the feed changed during the transfer, after {CUT:,} bytes"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (whole(BODY, **TWO), CHANGED),
        (whole(BODY[:-1], **ONE), CHANGED),
        (whole(BODY), "cannot resume"),
        (part(BODY, CUT, **TWO), CHANGED),
        (part(BODY, CUT, ETag='W/"1"'), CHANGED),
        (part(BODY, CUT, **ONE, **GROWN), CHANGED),
        (part(BODY, CUT - 1, **ONE), "another byte"),
        (part(BODY, CUT, **ONE, **SHIFTED), "another byte"),
        (answer_with(BODY[CUT:] + b"x", 206, Content_Range=f"bytes {CUT}-{SIZE}/{SIZE}"), "another byte"),
        (answer_with(BODY[CUT:-1], 206, Content_Range=f"bytes {CUT}-{SIZE - 1}/{SIZE}"), "another byte"),
        (part(BODY, CUT, **ONE, Content_Range=f"bytes {CUT}-{SIZE - 1}/*"), "does not say where"),
        (answer_with(BODY[CUT:], 206), "does not say where"),
        (answer_with(status=416, Content_Range=f"bytes */{SIZE}"), f"{CHANGED}: HTTP status 416"),
        (answer_with(status=404), "HTTP status 404"),
        (chunked(BODY, b"", 206, Content_Range=f"bytes {CUT}-{SIZE - 1}/{SIZE}"), "more than"),
    ],
)
def test_what_may_be_another_feed_is_never_joined_to_the_first(web: Web, answer: Answer, said: str) -> None:
    message = refused(web.serve(in_turn(whole(BODY, CUT, **ONE), answer)))
    assert said in message
    assert f"{CUT:,}" in message or said == "more than"
    assert len(web.requests) == 2


def test_a_server_that_knows_no_ranges_is_not_resumed_by_its_time(web: Web) -> None:
    old = dated(100)
    assert "cannot resume" in refused(web.serve(in_turn(whole(BODY, CUT, **old), whole(BODY, **old))))
    assert CHANGED in refused(web.serve(in_turn(whole(BODY, CUT, **old), whole(BODY, **dated(99)))))


# Conditional -----------------------------------------------------------------------------------------

MODIFIED = "Wed, 21 Oct 2015 07:28:00 GMT"


def test_a_feed_that_its_server_calls_unchanged_is_not_read(web: Web) -> None:
    url = web.serve(answer_with(status=304, length=None))
    assert fetched(url, Version('"1"', MODIFIED, SIZE)) is None
    assert web.sent("If-None-Match") == ['"1"']
    assert web.sent("If-Modified-Since") == [MODIFIED]


@pytest.mark.parametrize("known", [None, Version(None, None, SIZE)])
def test_no_server_may_call_unchanged_what_is_not_known(web: Web, known: Version | None) -> None:
    with pytest.raises(SourceUnavailable, match="HTTP status 304"):
        fetched(web.serve(answer_with(status=304, length=None)), known)


@pytest.mark.parametrize(
    ("known", "now", "unchanged"),
    [
        (Version('"1"', None, None), ONE, True),
        (Version('W/"1"', None, 5), ONE, True),
        (Version('"1"', MODIFIED, SIZE), {"ETag": 'W/"1"'}, True),
        (Version('"1"', MODIFIED, SIZE), TWO | {"Last_Modified": MODIFIED}, False),
        (Version(None, MODIFIED, SIZE), {"Last_Modified": MODIFIED}, True),
        (Version(None, MODIFIED, SIZE), ONE | {"Last_Modified": MODIFIED}, True),
        (Version(None, MODIFIED, SIZE - 1), {"Last_Modified": MODIFIED}, False),
        (Version(None, MODIFIED, None), {"Last_Modified": MODIFIED}, False),
        (Version(None, MODIFIED, SIZE), dated(100), False),
        (Version(None, None, SIZE), {}, False),
        (Version('"1"', None, SIZE), {}, False),
    ],
)
def test_a_server_that_heeds_no_conditions_is_compared(
    web: Web, known: Version, now: dict[str, str], unchanged: bool
) -> None:
    assert fetched(web.serve(whole(BODY, **now)), known) == (None if unchanged else BODY)


def test_two_sizes_that_are_not_known_are_not_equal(web: Web) -> None:
    url = web.serve(chunked(BODY, Last_Modified=MODIFIED))
    assert fetched(url, Version(None, MODIFIED, None)) == BODY


def test_a_feed_tells_its_version(web: Web) -> None:
    url = web.serve(whole(BODY, **ONE, Last_Modified=MODIFIED))
    with open_feed(Source(url)) as feed:
        assert feed is not None
        assert feed.version == Version('"1"', MODIFIED, SIZE)
        assert feed.version.modified_at == datetime(2015, 10, 21, 7, 28, tzinfo=UTC)


@pytest.mark.parametrize("text", [None, "", "yesterday", "Wed, 99 Oct 2015 07:28:00 GMT"])
def test_a_time_that_cannot_be_read_is_none(text: str | None) -> None:
    assert Version(None, text, None).modified_at is None


def test_a_file_has_no_version(tmp_path: Path) -> None:
    path = tmp_path / "feed"
    path.write_bytes(BODY)
    with open_feed(Source(str(path)), Version('"1"', MODIFIED, SIZE)) as feed:
        assert feed is not None
        assert feed.version is None


# The first request -----------------------------------------------------------------------------------


def test_a_server_that_is_busy_at_first_is_asked_again(web: Web) -> None:
    busy = answer_with(status=503)
    assert fetched(web.serve(in_turn(busy, busy, whole(BODY)))) == BODY


def test_a_server_that_is_busy_for_good_is_named_by_its_status(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etl.source.connections, "RETRY_AFTER_SECONDS", 0.1)
    url = web.serve(answer_with(status=503, Retry_After="3600"))
    started = time.monotonic()
    assert refused(url, BRIEF) == f"{url}: HTTP status 503 Service Unavailable"
    assert 0.3 <= time.monotonic() - started < 5
    assert 3 <= len(web.requests) <= 5


def test_no_server_is_waited_for_beyond_the_deadline(web: Web) -> None:
    started = time.monotonic()
    assert "429" in refused(web.serve(answer_with(status=429, Retry_After="3600")), BRIEF)
    assert time.monotonic() - started < 5
    assert len(web.requests) == 2


def test_a_body_that_a_proxy_has_changed_is_one(web: Web) -> None:
    assert fetched(web.serve(answer_with(BODY, 203))) == BODY


def test_a_body_that_a_proxy_has_changed_is_not_resumed(web: Web) -> None:
    broken = answer_with(BODY[:1000], 203, SIZE, ETag='"1"')
    with pytest.raises(TruncatedFeed):
        fetched(web.serve(in_turn(broken, part(BODY, 1000, **ONE))))
    web.serve(in_turn(whole(BODY, 1000, **ONE), answer_with(BODY, 203, ETag='"1"')))
    assert "HTTP status 203" in refused(web.url("/feed"))


@pytest.mark.parametrize("status", [201, 202, 204, 205, 206, 226])
def test_no_other_status_is_a_success(web: Web, status: int) -> None:
    body = b"" if status in (204, 205) else BODY
    assert f"HTTP status {status}" in refused(web.serve(answer_with(body, status)))


# Too slow --------------------------------------------------------------------------------------------

SLOW = replace(QUICK, read_seconds=5, slow_seconds=0.3, slow_rate=1000)


def dripping(body: bytes, start: int, /, **headers: str) -> Answer:
    """A server that sends some, and then a byte now and then, for ever."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        whole(body, start, **headers)(request)
        assert isinstance(request.server, Web)
        for byte in body[start:]:
            if request.server.over.wait(0.05):
                return
            request.wfile.write(bytes([byte]))

    return answer


def test_a_server_that_drips_is_given_up_and_resumed(web: Web) -> None:
    url = web.serve(in_turn(dripping(BODY, 1000, **ONE), resumable(BODY, [], **ONE)))
    started = time.monotonic()
    assert fetched(url, patience=SLOW) == BODY
    assert time.monotonic() - started < 10
    assert len(web.requests) == 2


def test_a_server_that_drips_and_cannot_resume_is_named(web: Web) -> None:
    assert "less than 1,000 bytes a second for" in refused(web.serve(dripping(BODY, 1000)), SLOW)


def test_a_server_that_always_drips_is_given_up_in_the_end(web: Web) -> None:
    url = web.serve(dripping(BODY, 0, **ONE))
    message = refused(url, replace(SLOW, attempts=2))
    assert "less than 1,000 bytes a second" in message
    assert len(web.requests) == 3


def test_who_reads_slowly_is_not_the_servers_fault(web: Web) -> None:
    source = Source(web.serve(BODY * 100))
    with open_feed(source, None, SLOW) as feed:
        assert feed is not None
        total = 0
        buffer = bytearray(3_000_000)
        while count := feed.readinto(memoryview(buffer)):
            total += count
            time.sleep(0.4)
    assert total == len(BODY) * 100


def test_a_server_that_does_not_answer_is_not_asked_again(web: Web) -> None:
    assert "without response" in refused(web.serve(lambda request: None))
    assert len(web.requests) == 1


def test_a_server_is_left_alone_as_long_as_it_asks_for(web: Web) -> None:
    started = time.monotonic()
    busy = answer_with(status=503, Retry_After="1")
    answers = busy, whole(BODY, 1000, **ONE), busy, part(BODY, 1000, **ONE)
    assert fetched(web.serve(in_turn(*answers))) == BODY
    assert time.monotonic() - started >= 2


# Secrets ---------------------------------------------------------------------------------------------

SECRETS = {"Authorization": "Bearer canary", "Cookie": "canary", "X-Api-Key": "canary"}


def test_headers_are_sent(web: Web) -> None:
    assert fetched(Source(web.serve(BODY), SECRETS | {"accept-encoding": "br"})) == BODY
    assert [web.sent(name) for name in SECRETS] == [["Bearer canary"], ["canary"], ["canary"]]
    assert web.sent("Accept-Encoding") == ["identity"]


def test_secrets_are_not_shown() -> None:
    source = Source("http://user:canary@host/feed?canary#canary", SECRETS, b"canary")
    assert source.shown == "http://host/feed"
    assert "canary" not in repr(source)


def test_headers_do_not_follow_a_redirect_to_another_host(web: Web) -> None:
    elsewhere = web.url("/there", "localhost")
    web.serve(in_turn(whole(BODY, 1000, **ONE), part(BODY, 1000, **ONE)), "/there")
    url = web.serve(answer_with(status=302, Location=elsewhere)).replace("//", "//user:canary@")
    assert fetched(Source(url, {"Cookie": "canary", "X-Api-Key": "canary"})) == BODY
    assert web.requests == ["/feed", "/there"] * 2
    assert [("canary" in str(headers), "Authorization" in headers) for headers in web.headers] == [
        (True, True),
        (False, False),
    ] * 2
    assert web.sent("Range")[-1] == "bytes=1000-"


def test_headers_follow_a_redirect_on_the_same_host(web: Web) -> None:
    web.serve(BODY, "/there")
    url = web.serve(answer_with(status=308, Location="/there"))
    assert fetched(Source(url, SECRETS)) == BODY
    assert web.sent("X-Api-Key") == ["canary", "canary"]


def test_user_and_password_of_a_url_are_sent(web: Web) -> None:
    assert fetched(web.serve(BODY).replace("//", "//us%65r:p%40ss@")) == BODY
    assert web.sent("Authorization") == ["Basic dXNlcjpwQHNz"]


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/canary", "http://[canary"])
def test_a_redirect_that_leads_off_the_web_is_refused(web: Web, location: str) -> None:
    message = refused(web.serve(answer_with(status=302, Location=location)))
    assert "a redirect to what is not" in message
    assert "canary" not in message


def test_five_redirects_are_followed_and_no_more(web: Web) -> None:
    for number in range(6):
        web.serve(answer_with(status=302, Location=f"/{number + 1}"), f"/{number}")
    web.serve(BODY, "/6")
    assert fetched(web.url("/1")) == BODY
    assert "more than 5 redirects" in refused(web.url("/0"))


@pytest.mark.parametrize("header", ["canary\r\nX: y", "canary…"])
def test_a_header_that_cannot_be_sent_is_not_shown(web: Web, header: str) -> None:
    message = refused(Source(web.serve(BODY), {"Authorization": header}))
    assert message.endswith("a header has characters that cannot be sent")
    assert web.requests == []


def test_a_url_that_is_none_is_not_shown() -> None:
    assert refused("http://user:canary@host:99999/feed?canary").startswith("(not a URL): ")


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[Web, Path]]:
    """A server with a certificate that only those trust who are told to."""
    context, certificate = certified(tmp_path)
    with serving(context) as server:
        yield server, certificate


def test_a_server_is_trusted_by_its_certificate_alone(
    tls: tuple[Web, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, certificate = tls
    url = server.serve(resumable(BODY, [1000], **ONE))
    assert "self-signed certificate" in refused(url).replace("self signed", "self-signed")
    assert server.requests == []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert fetched(url) == BODY


def test_a_redirect_from_tls_into_the_clear_is_refused(
    tls: tuple[Web, Path], web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, certificate = tls
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    secure = server.serve(answer_with(status=302, Location=web.serve(BODY)))
    there = web.serve(answer_with(status=302, Location=secure), "/there")
    assert "from https to http" in refused(secure)
    assert "from https to http" in refused(there)
    assert web.requests == ["/there"]


# POST ------------------------------------------------------------------------------------------------


def test_a_body_is_posted(web: Web) -> None:
    assert fetched(Source(web.serve(BODY), body=b'{"id":1}')) == BODY
    assert web.bodies == [("POST", b'{"id":1}')]
    assert web.sent("Content-Type") == ["application/json"]


def test_a_post_is_made_once_and_without_conditions(web: Web) -> None:
    post = Source(web.serve(whole(BODY, 1000, **ONE)), body=b"{}")
    with pytest.raises(TruncatedFeed):
        fetched(post, Version('"1"', MODIFIED, SIZE))
    assert web.sent("If-None-Match") == [None]
    web.serve(answer_with(status=503, Retry_After="1"))
    assert "HTTP status 503" in refused(post)
    web.serve(then_stall(lambda request: None))
    assert "ReadTimeoutError" in refused(post)
    assert len(web.requests) == 3


def test_the_answer_to_a_post_may_be_elsewhere(web: Web) -> None:
    web.serve(BODY, "/there")
    post = Source(web.serve(answer_with(status=303, Location="/there")), body=b"{}")
    assert fetched(post) == BODY
    assert web.bodies == [("POST", b"{}"), ("GET", b"")]
    assert web.sent("Content-Type") == ["application/json", None]


def test_small_requests_go_by_the_same_rules(web: Web) -> None:
    url = web.serve(answer_with(b'{"result":7}'))
    with connected() as pool:
        reply = pool.request("POST", url.replace("//", "//user:canary@"), json={"id": 1})
        assert reply.json() == {"result": 7}
    assert web.sent("Authorization") == ["Basic dXNlcjpjYW5hcnk="]
    web.serve(then_stall(lambda request: None))
    with pytest.raises(SourceUnavailable, match="ReadTimeoutError"), connected(0.1) as pool:
        pool.request("POST", url, json={"id": 1})
