"""What is secret in a URL is shown nowhere, however the URL is spelled, whatever comes of it."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.command import Etl
from tests.support.databases import Database
from tests.support.web_server import Web, answer_with

from .feeds import OURS, as_object, deal

DEALS = ("run", "deals", "-v", "--client", OURS[0], "--head-epoch", "4200000", "--retry-for", "1s")
FEED = as_object([("1", deal())])
# A parser may take what stands before the first slash for the host: then it shall be one that is there.
ODD = ("s/canary", "s#canary", "s?canary", "s@canary", "s:canary", "1/canary", "s%canary", "s\\canary")


pytestmark = pytest.mark.timeout(240)


def dead_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def assert_nothing_is_told(etl: Etl, *commands: tuple[str | Path, ...], **env: str) -> None:
    """Run commands, a few at a time, of which each fails or not, and see what it tells."""

    def run(command: tuple[str | Path, ...]) -> None:
        completed = etl(*command, env=env)
        assert "canary" not in (completed.stdout + completed.stderr).lower(), command
        assert completed.status in (0, 2, 65, 69, 74, 78), completed.stderr

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(run, commands))


def ledgers(etl: Etl) -> str:
    found = [Database(path).rows("etl_runs") for path in etl.directory.glob("*.db")]
    return str(found)


def test_of_sources(etl: Etl) -> None:
    host = f"127.0.0.1:{dead_port()}"
    urls = [f"http://localhost:{secret}@{host}/feed" for secret in ODD]
    urls += [f"http:/user:canary@{host}/f", f"https:\\\\user:canary@{host}", f"user:canary@{host}/feed"]
    urls += [f"http://{host}/feed?token=canary#canary", f"http://user:canary@{host}/feed@x?canary"]
    urls += [f" http://user:canary@{host}/", f"ftp://user:canary@{host}/feed", f"nonsense://canary@{host}"]
    commands = [
        (*DEALS, "--json", "--database", f"sqlite:///{number}.db", "--source", url)
        for number, url in enumerate(urls)
    ]
    assert_nothing_is_told(etl, *commands)
    assert "canary" not in ledgers(etl)


@pytest.mark.parametrize("command", [("inspect",), ("run", "deals"), (), (*DEALS, "--explain", "--source")])
def test_of_arguments_that_are_repeated(etl: Etl, command: tuple[str, ...]) -> None:
    urls = ("http://user:s/canary@127.0.0.1:1/f", "http:/user:canary@host", "postgresql:etl:canary@host")
    assert_nothing_is_told(etl, *((*command, url) for url in urls))


def test_of_databases(etl: Etl) -> None:
    source = etl.file(FEED)
    host = f"127.0.0.1:{dead_port()}"
    urls = [f"postgresql://etl:{secret}@{host}/deals" for secret in ODD]
    urls += [
        f"postgresql://canary:pass@{host}/deals",
        f"postgresql://etl@{host}/d?password=canary&sslmode=canary",
        f"postgresql:/etl:canary@{host}/d", f"postgresql:etl:canary@{host}/d",
        f"mysql://etl:canary@{host}/d",
        f"sqlite://etl:canary@{host}/d", f"etl:canary@{host}/d", f"postgresql://et/l:canary@{host}/d",
    ]  # fmt: skip
    assert_nothing_is_told(etl, *((*DEALS, "--source", source, "--database", url) for url in urls))
    assert_nothing_is_told(etl, *(("history", "--database", url) for url in urls[:4]))


def test_of_nodes_and_proxies(etl: Etl) -> None:
    host = f"127.0.0.1:{dead_port()}"
    source = etl.file(FEED)
    nodes = [f"http://localhost:{secret}@{host}/rpc/v1?token=canary" for secret in ODD[:6]]
    assert_nothing_is_told(etl, *((*DEALS, "--source", source, "--lotus-api", url) for url in nodes))
    for secret in ("canary", "s/canary"):
        command = (*DEALS, "--source", "http://feed.example/feed")
        assert_nothing_is_told(etl, command, http_proxy=f"http://user:{secret}@{host}")


def test_of_where_a_server_leads(etl: Etl, web: Web) -> None:
    host = f"127.0.0.1:{dead_port()}"
    places = [f"http://localhost:{secret}@{host}/?canary" for secret in ODD[:6]]
    urls = [
        web.serve(answer_with(status=302, Location=place.replace(" ", "%20")), f"/{number}")
        for number, place in enumerate(places)
    ]
    commands = [
        (*DEALS, "--source", url, "--database", f"sqlite:///{number}.db") for number, url in enumerate(urls)
    ]
    assert_nothing_is_told(etl, *commands)
    assert "canary" not in ledgers(etl)
