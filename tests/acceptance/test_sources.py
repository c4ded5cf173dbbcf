"""Wherever a feed comes from, and however it is compressed: all of it arrives, or nothing is changed."""

from __future__ import annotations

import bz2
import gzip
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.command import Completed, Etl, load_each
from tests.support.databases import Database, Tables
from tests.support.web_server import (
    Web,
    answer_with,
    certified,
    chunked,
    in_turn,
    part,
    resumable,
    serving,
    whole,
)

from .checks import assert_refused
from .feeds import as_lines, as_object, as_reply, awkward, deal, expected, lz4, zstd

DOCUMENT = as_reply(as_object(awkward() * 3))
WANTED = expected(DOCUMENT)
HALVES = DOCUMENT[:4000], DOCUMENT[4000:]


def zstd_with_window(data: bytes, log: int) -> bytes:
    """A zstd frame that asks for a window of `2**log` bytes, as `--long` makes it (RFC 8878, 3.1.1).

    Its blocks are stored as they are, so that no compressor is needed.
    """
    parts = [b"\x28\xb5\x2f\xfd", b"\x00", bytes([(log - 10) << 3])]
    for start in range(0, len(data), 1 << 16):
        block = data[start : start + (1 << 16)]
        last = start + len(block) == len(data)
        parts += [(len(block) << 3 | last).to_bytes(3, "little"), block]
    return b"".join(parts)


def by_command(*command: str) -> bytes | None:
    """What a command makes of the document, read from a pipe; None if it is not installed."""
    if shutil.which(command[0]) is None:
        return None
    return subprocess.run(command, input=DOCUMENT, capture_output=True, check=True).stdout


SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"  # RFC 8878, 3.1.2

STREAMS = {
    "plain": DOCUMENT,
    "zstd": zstd(DOCUMENT),
    "zstd, two frames": b"".join(map(zstd, HALVES)),
    "zstd, a skippable frame first": SKIPPABLE + zstd(DOCUMENT),
    "zstd, window of 128 MiB": zstd_with_window(DOCUMENT, 27),
    "gzip": gzip.compress(DOCUMENT),
    "gzip, two members": b"".join(map(gzip.compress, HALVES)),
    "bzip2": bz2.compress(DOCUMENT),
    "bzip2, two streams": b"".join(map(bz2.compress, HALVES)),
    "lz4": lz4(DOCUMENT),
}


Loads = dict[str, tuple[Completed, Database]]


@pytest.fixture(scope="module")
def loads(tmp_path_factory: pytest.TempPathFactory) -> Loads:
    return load_each(tmp_path_factory, STREAMS)


@pytest.mark.parametrize("stream", STREAMS)
def test_reads_a_file_however_it_is_compressed(loads: Loads, stream: str) -> None:
    completed, database = loads[stream]
    assert (completed.status, completed.stderr) == (0, "")
    report = completed.report
    assert report["bytes_read"] == len(STREAMS[stream])
    assert report["bytes_decoded"] == len(DOCUMENT)
    assert {name: report[name] for name in WANTED.figures} == WANTED.figures
    assert database.deals() == WANTED.rows


@pytest.mark.parametrize("command", ["zstd -q -c -19 --long=27", "lz4 -q -c"])
def test_reads_what_the_usual_commands_write(etl: Etl, database: Database, command: str) -> None:
    stream = by_command(*command.split())
    if stream is None:
        pytest.skip(f"{command.split()[0]} is not installed")
    etl.loaded(stream)
    assert database.deals() == WANTED.rows


@pytest.mark.parametrize("stream", ["plain", "zstd", "gzip, two members"])
def test_reads_standard_input(etl: Etl, database: Database, stream: str) -> None:
    completed = etl.load("--source", "-", input=STREAMS[stream])
    assert (completed.status, completed.stderr) == (0, "")
    assert database.deals() == WANTED.rows
    assert completed.report["source"] == "-"
    assert completed.report["bytes_read"] == len(STREAMS[stream])


@pytest.mark.skipif(not Path("/dev/stdin").exists(), reason="has no /dev/stdin")
def test_reads_a_pipe_by_its_name(etl: Etl, database: Database) -> None:
    assert etl.load("--source", "/dev/stdin", input=DOCUMENT).status == 0
    assert database.deals() == WANTED.rows


def test_reads_a_named_pipe(etl: Etl, database: Database) -> None:
    path = etl.directory / "pipe"
    os.mkfifo(path)
    running = etl.start("run", "deals", "--source", path, "--client", "f01000", "--json", "-q")
    with path.open("wb") as pipe:
        pipe.write(as_object([("1", deal()), ("2", deal())]))
    assert running.done(timeout=10).status == 0
    assert list(database.deals()) == [1, 2]


def test_reads_a_file_with_a_blank_in_its_name(etl: Etl, database: Database) -> None:
    source = etl.file(DOCUMENT, "state market deals.json")
    assert etl.load("--source", source).status == 0
    assert database.deals() == WANTED.rows


def test_reads_a_file_whose_name_is_no_text(etl: Etl, tables: Tables) -> None:
    """Any bytes but a NUL and a slash are a name on Linux."""
    name = os.fsdecode(b"feed\xff")
    try:
        source = etl.file(DOCUMENT, name)
    except OSError:  # not on every system
        name, source = "feed", etl.file(DOCUMENT)
    completed = etl.load("--source", source, "--database", tables.url)
    assert (completed.status, completed.stderr) == (0, "")
    assert tables.last_run()["source"].endswith(name.encode(errors="backslashreplace").decode())


# Over HTTP -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ["plain", "zstd"])
def test_reads_over_http(etl: Etl, database: Database, web: Web, stream: str) -> None:
    url = web.serve(STREAMS[stream])
    completed = etl.load("--source", url)
    assert (completed.status, completed.stderr) == (0, "")
    assert_report_of(completed, url, len(STREAMS[stream]))
    assert database.deals() == WANTED.rows
    assert web.requests == ["/feed"]


def assert_report_of(completed: Completed, source: str, size: int) -> None:
    assert completed.report["source"] == source
    assert completed.report["bytes_read"] == size


def test_reads_a_chunked_transfer(etl: Etl, database: Database, web: Web) -> None:
    assert etl.load("--source", web.serve(chunked(STREAMS["zstd"]))).status == 0
    assert database.deals() == WANTED.rows


def test_reads_a_body_that_ends_with_the_connection(etl: Etl, database: Database, web: Web) -> None:
    assert etl.load("--source", web.serve(answer_with(DOCUMENT, length=None))).status == 0
    assert database.deals() == WANTED.rows


def test_follows_a_redirect(etl: Etl, database: Database, web: Web) -> None:
    web.serve(STREAMS["zstd"], "/there")
    url = web.serve(answer_with(status=302, Location="/there"))
    assert etl.load("--source", url).status == 0
    assert database.deals() == WANTED.rows
    assert web.requests == ["/feed", "/there"]


def test_does_not_follow_redirects_in_a_circle(
    etl: Etl, database: Database, web: Web, before: object
) -> None:
    url = web.serve(answer_with(status=302, Location="/feed"))
    assert_refused(etl.load("--source", url), 69, database, before)


@pytest.mark.parametrize("status", [404, 500])
def test_an_http_status_is_named(
    etl: Etl, database: Database, web: Web, before: object, status: int
) -> None:
    url = web.serve(answer_with(as_object([("1", deal())]), status))
    message = assert_refused(etl.load("--source", url, "--retry-for", "1s"), 69, database, before)
    assert str(status) in message
    assert url in message


def test_a_refused_connection_is_unavailable(
    etl: Etl, database: Database, web: Web, before: object
) -> None:
    web.server_close()
    message = assert_refused(etl.load("--source", web.url("/feed")), 69, database, before)
    assert "refused" in message


@pytest.mark.parametrize("stream", ["lines", "zstd"])
def test_a_body_shorter_than_announced_is_no_success(
    etl: Etl, database: Database, web: Web, before: object, stream: str
) -> None:
    body = as_lines(awkward()) if stream == "lines" else STREAMS[stream]
    cut = body[:-1].rindex(b"\n") + 1 if stream == "lines" else len(body) - 1
    url = web.serve(answer_with(body[:cut], length=len(body)))
    completed = etl.load("--source", url)
    assert completed.status in (65, 69)
    assert_refused(completed, completed.status, database, before)


@pytest.mark.parametrize("end", [b"", b"5\r\nab"], ids=["no end", "cut in a chunk"])
def test_a_broken_chunked_transfer_is_no_success(
    etl: Etl, database: Database, web: Web, before: object, end: bytes
) -> None:
    url = web.serve(chunked(as_lines(awkward()), end))
    completed = etl.load("--source", url)
    assert completed.status in (65, 69)
    assert_refused(completed, completed.status, database, before)


def test_a_transfer_that_breaks_several_times_is_resumed(etl: Etl, database: Database, web: Web) -> None:
    stream = STREAMS["zstd"]
    cuts = [len(stream) // 4, 1, len(stream) // 4]
    url = web.serve(resumable(stream, cuts, ETag='"1"'))
    completed = etl.load("--source", url)
    assert (completed.status, completed.stderr) == (0, "")
    assert_report_of(completed, url, len(stream))
    assert database.deals() == WANTED.rows
    assert len(web.requests) == len(cuts) + 1


def test_what_is_resumed_is_told_without_secrets(etl: Etl, database: Database, web: Web) -> None:
    web.serve(resumable(DOCUMENT, [100], ETag='"1"'), "/feed?token=canary")
    url = web.url("/feed?token=canary").replace("http://", "http://user:canary@")
    completed = etl("run", "deals", "--source", url, "--client", "f01000")
    assert completed.status == 0
    assert f"WARNING {web.url('/feed')}: the transfer" in completed.stderr
    assert "canary" not in completed.stderr


@pytest.mark.parametrize("resumes", [False, True])
def test_a_feed_that_changes_while_it_is_read_is_refused(
    etl: Etl, database: Database, web: Web, before: object, resumes: bool
) -> None:
    body = as_lines(awkward() * 3)
    cut = body.index(b"\n") + 1
    changed = part(body, cut, ETag='"2"') if resumes else whole(body, ETag='"2"')
    url = web.serve(in_turn(whole(body, cut, ETag='"1"'), changed))
    message = assert_refused(etl.load("--source", url), 69, database, before)
    assert f"the feed changed during the transfer, after {cut:,} bytes" in message


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("untrusted", "self.signed certificate"),
        ("expired", "certificate has expired"),
        ("of another host", "(IP address|hostname).*127.0.0.1|doesn't match"),
        ("to the clear", "refused to be redirected from https to http"),
    ],
)
def test_a_server_that_does_not_prove_who_it_is_gets_nothing(
    etl: Etl, database: Database, web: Web, before: object, wrong: str, said: str
) -> None:
    name = "DNS:elsewhere.example" if wrong == "of another host" else "IP:127.0.0.1"
    folder = etl.directory / "tls"
    folder.mkdir()
    context, certificate = certified(folder, name, expired=wrong == "expired")
    trusted = {} if wrong == "untrusted" else {"SSL_CERT_FILE": str(certificate)}
    with serving(context) as server:
        url = server.serve(answer_with(status=302, Location=web.serve(DOCUMENT)))
        source = url.replace("https://", "https://user:canary@")
        completed = etl.load("--source", source, env=trusted)
        message = assert_refused(completed, 69, database, before)
        assert re.search(said, message), message
        assert "canary" not in message + completed.stdout
        assert len(server.requests) == (wrong == "to the clear")
        assert web.requests == []
        if wrong == "to the clear":  # all else was well with it
            server.serve(DOCUMENT)
            assert etl.load("--source", source, env=trusted).status == 0


def test_what_is_secret_in_a_url_is_not_shown(
    etl: Etl, database: Database, web: Web, before: object
) -> None:
    url = web.serve(answer_with(status=404)).replace("http://", "http://user:canary@")
    web.answers["/feed?token=canary"] = web.answers["/feed"]
    completed = etl.load("--source", f"{url}?token=canary#canary", "-v")
    message = assert_refused(completed, 69, database, before)
    assert "canary" not in message + completed.stdout + str(database.rows("etl_runs"))


# Damaged ---------------------------------------------------------------------------------------------

LINES = as_lines(awkward() * 3)  # which do not show by themselves that some are missing


def flipped(data: bytes, place: float) -> bytes:
    """The data with one bit in it turned over."""
    at = int(len(data) * place)
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def damaged() -> dict[str, bytes]:
    codecs = {"zstd": zstd, "gzip": gzip.compress, "bzip2": bz2.compress, "lz4": lz4}
    streams = {}
    for name, compress in codecs.items():
        whole = compress(LINES)
        two = compress(LINES[: LINES.index(b"\n") + 1]) + whole
        streams[f"{name} lacks its last byte"] = whole[:-1]
        streams[f"{name} is cut in its second part"] = two[:-9]
        streams[f"{name} has junk behind it"] = whole + b"junk"
        streams[f"{name} has zeros behind it"] = whole + bytes(512)
        if name in ("gzip", "bzip2"):  # Arrow writes no checksums into the others
            streams[f"{name} has a bit flipped"] = flipped(whole, 0.5)
            streams[f"{name} has a bit of its checksum flipped"] = flipped(whole, 0.9999)
    streams["zstd has a bit of a block's header flipped"] = flipped(
        zstd_with_window(LINES, 20), 7 / len(LINES)
    )
    streams["zstd asks for a window of 2 GiB"] = zstd_with_window(DOCUMENT, 31)
    return streams


DAMAGED = damaged()


@pytest.fixture(scope="module")
def damaged_loads(tmp_path_factory: pytest.TempPathFactory, loaded_once: Path) -> Loads:
    return load_each(tmp_path_factory, DAMAGED, start=loaded_once)


@pytest.mark.parametrize("stream", DAMAGED)
def test_a_damaged_stream_is_refused(damaged_loads: Loads, loaded_once: Path, stream: str) -> None:
    completed, database = damaged_loads[stream]
    message = assert_refused(completed, 65, database, Database(loaded_once).dump())
    assert stream.split()[0].replace("bzip2", "bz2") in message


@pytest.mark.parametrize("command", ["zstd -q -c --check", "lz4 -q -c"])
def test_a_wrong_checksum_is_refused(etl: Etl, database: Database, before: object, command: str) -> None:
    stream = by_command(*command.split())
    if stream is None:
        pytest.skip(f"{command.split()[0]} is not installed")
    source = etl.file(stream[:-1] + bytes([stream[-1] ^ 1]))
    assert_refused(etl.load("--source", source), 65, database, before)


def test_a_truncated_stream_on_standard_input_is_refused(
    etl: Etl, database: Database, before: object
) -> None:
    completed = etl.load("--source", "-", input=DAMAGED["zstd lacks its last byte"])
    assert_refused(completed, 65, database, before)


# Not there -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("missing.json", "No such file"),
        (".", "directory"),
        ("ftp://127.0.0.1/feed", "ftp"),
    ],
)
def test_a_source_that_cannot_be_opened_is_unavailable(
    etl: Etl, database: Database, before: object, source: str, said: str
) -> None:
    message = assert_refused(etl.load("--source", source), 69, database, before)
    assert message.startswith(source)
    assert said in message


def test_a_url_that_is_none_is_refused_and_not_shown(etl: Etl, database: Database, before: object) -> None:
    completed = etl.load("--source", "http://user:canary@[bad/feed")
    assert completed.status in (69, 78)
    assert "canary" not in completed.message + completed.stdout
    assert database.dump() == before


def test_standard_input_that_is_closed_is_unavailable(etl: Etl, database: Database, before: object) -> None:
    completed = etl.load("--source", "-", preexec_fn=lambda: os.close(0))
    assert_refused(completed, 69, database, before)


def test_a_second_source_that_is_missing_spoils_the_first(
    etl: Etl, database: Database, before: object
) -> None:
    source = etl.file(as_object([("88", deal())]))
    completed = etl.load("--source", source, "--source", "missing.json")
    assert_refused(completed, 69, database, before)
