"""Through a proxy, by the names that curl and requests have for it; who is trusted with which secret."""

from __future__ import annotations

import select
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from etl.declare.location import Patience
from etl.errors import ConfigurationError, SourceUnavailable
from etl.source.feed import Source, errors_named, open_feed
from etl.source.proxies import Proxy, proxy_for
from pipelines.deals.lotus import Lotus
from tests.support.lotus_node import Node
from tests.support.web_server import Web, answer_with, certified, serving

BODY = bytes(number % 251 for number in range(100_000))
QUICK = Patience(read_seconds=2, pause_seconds=0.001, longest_pause_seconds=0.01, busy_seconds=0.2)
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
BUNDLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
FEED = "http://feed.example/feed"
"""A host that only the proxy knows."""


class HttpProxy(ThreadingHTTPServer):
    """A proxy that leads to one port of the loopback interface, whatever host is asked for."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = port
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.refusing = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, HttpProxy)
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        self.close_connection = True
        if self.server.refusing:
            self.send_error(407)
            return
        with socket.create_connection(("127.0.0.1", self.server.target)) as there:
            if self.command == "CONNECT":
                self.send_response(200)
                self.end_headers()
                _join(self.connection, there)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = urlsplit(self.path)
            kept = [f"{k}: {v}" for k, v in self.headers.items() if not k.startswith("Proxy-")]
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            lines = [f"{self.command} {path} HTTP/1.0", *kept, "Connection: close", "", ""]
            there.sendall("\r\n".join(lines).encode() + body)
            while data := there.recv(1 << 16):
                self.wfile.write(data)

    do_POST = do_CONNECT = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _join(one: socket.socket, other: socket.socket) -> None:
    ends = {one: other, other: one}
    with suppress(OSError):
        while True:
            for end in select.select(list(ends), [], [], 10)[0]:
                data = end.recv(1 << 16)
                if not data:
                    return
                ends[end].sendall(data)


@contextmanager
def proxying(port: int) -> Iterator[HttpProxy]:
    """Run a proxy."""
    with HttpProxy(port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, *map(str.upper, NAMES), "REQUEST_METHOD", *BUNDLES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def proxy(web: Web) -> Iterator[HttpProxy]:
    """A proxy that leads to the web server."""
    with proxying(web.server_address[1]) as server:
        yield server


def fetched(source: str | Source) -> bytes:
    source = Source(source) if isinstance(source, str) else source
    with errors_named(source), open_feed(source, None, QUICK) as feed:
        assert feed is not None
        buffer = bytearray(len(BODY) + 1)
        return bytes(buffer[: feed.readinto(memoryview(buffer))])


def refused(source: str) -> str:
    with pytest.raises(SourceUnavailable) as caught:
        fetched(source)
    return caught.value.message


# Over a proxy ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_feed_comes_through_the_proxy(
    web: Web, proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch, name: str, scheme: str
) -> None:
    web.serve(BODY, "/feed?token=canary")
    monkeypatch.setenv(name, f"{scheme}{proxy.address}")
    assert fetched("http://feed.example/feed?token=canary#part") == BODY
    ((method, url, headers),) = proxy.requests
    assert (method, url) == ("GET", "http://feed.example/feed?token=canary")
    assert headers["Host"] == "feed.example"


def test_user_and_password_of_the_feed_are_no_part_of_the_request_line(
    web: Web, proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.serve(BODY)
    monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
    assert fetched("http://user:canary@feed.example/feed") == BODY
    assert proxy.requests[0][1] == FEED
    assert web.sent("Authorization") == ["Basic dXNlcjpjYW5hcnk="]


def test_the_proxys_password_goes_to_the_proxy_alone(
    web: Web, proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.serve(BODY)
    monkeypatch.setenv("http_proxy", f"http://us%65r:p%40ss@{proxy.address}")
    assert fetched(FEED) == BODY
    assert proxy.requests[0][2]["Proxy-Authorization"] == "Basic dXNlcjpwQHNz"
    assert web.sent("Proxy-Authorization") == [None]
    assert web.sent("Authorization") == [None]


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[Web, Path]]:
    """A server with a certificate of its own."""
    context, certificate = certified(tmp_path, "DNS:feed.example")
    with serving(context) as server:
        server.serve(BODY)
        yield server, certificate


def test_tls_goes_through_the_proxy_unseen(
    secure: tuple[Web, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, certificate = secure
    with proxying(server.server_address[1]) as proxy:
        monkeypatch.setenv("https_proxy", f"http://user:sesame@{proxy.address}")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        headers = {"Authorization": "Bearer canary", "X-Api-Key": "canary"}
        assert fetched(Source("https://feed.example/feed", headers)) == BODY
        ((method, target, sent),) = proxy.requests
        assert (method, target) == ("CONNECT", "feed.example:443")
        assert "canary" not in str(sent)
        assert sent["Proxy-Authorization"] == "Basic dXNlcjpzZXNhbWU="
    assert server.sent("Authorization") == ["Bearer canary"]
    assert server.sent("Proxy-Authorization") == [None]


def test_a_redirect_goes_the_way_of_where_it_leads(
    web: Web, proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = web.serve(BODY, "/there")
    web.serve(answer_with(status=302, Location=there))
    monkeypatch.setenv("http_proxy", proxy.address)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert fetched(FEED) == BODY
    assert [url for _, url, _ in proxy.requests] == [FEED]
    assert web.requests == ["/feed", "/there"]


def test_a_lotus_node_is_asked_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with Node() as node, proxying(node.server_address[1]) as proxy:
        monkeypatch.setenv("http_proxy", proxy.address)
        assert Lotus("http://node.example/rpc/v1").head() == node.head
        assert proxy.requests[0][:2] == ("POST", "http://node.example/rpc/v1")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_is_named_without_its_password(
    proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    proxy.refusing = True
    monkeypatch.setenv(f"{scheme}_proxy", f"http://user:canary@{proxy.address}")
    message = refused(f"{scheme}://feed.example/feed")
    assert "407" in message
    assert "canary" not in message
    if scheme == "https":
        assert f"the proxy http://{proxy.address}: " in message


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("http_proxy", f"http://user:canary@127.0.0.1:{port}")
    message = refused(FEED)
    assert f"the proxy http://127.0.0.1:{port}: " in message
    assert "Connection refused" in message
    assert "canary" not in message


@pytest.mark.parametrize(
    "value",
    ["socks5://127.0.0.1:1", "http://user:ca/nary@host", "http://user:ca#nary@host", "http://", "::"],
)
def test_a_proxy_that_is_none_is_a_wrong_setting_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("http_proxy", value)
    with pytest.raises(ConfigurationError) as caught:
        fetched(FEED)
    assert caught.value.message.startswith("http_proxy is not set to an http(s) URL")
    assert "nary" not in caught.value.message


# Which proxy -----------------------------------------------------------------------------------------


def test_small_letters_hold_before_capitals_and_may_be_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://capitals:1")
    monkeypatch.setenv("http_proxy", "http://small:1")
    assert proxy_for(FEED) == Proxy("http://small:1", None)
    monkeypatch.setenv("http_proxy", "")
    assert proxy_for(FEED) is None


def test_a_clients_header_is_no_proxy_of_a_cgi_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://attacker:1")
    monkeypatch.setenv("REQUEST_METHOD", "GET")
    assert proxy_for(FEED) is None


def test_a_proxy_is_for_its_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://user:p%3Aw@proxy:3128/")
    assert proxy_for(FEED) is None
    assert proxy_for(FEED.replace("http", "https")) == Proxy("http://proxy:3128", "user:p:w")


@pytest.mark.parametrize(
    ("entries", "hosts", "others"),
    [
        ("*", ["a.example", "127.0.0.1", "[::1]"], []),
        ("example", ["example", "a.example", "a.b.EXAMPLE"], ["anexample", "example.org"]),
        (".example, other.org", ["a.example", "other.org"], ["anexample"]),
        ("*.example", ["a.example"], ["anexample"]),
        ("localhost 127.0.0.1", ["localhost", "127.0.0.1"], ["127.0.0.2"]),
        ("10.0.0.0/8,fd00::/8", ["10.1.2.3", "[fd00::1]"], ["11.0.0.1", "[fe80::1]"]),
        ("::1,[::2]", ["[::1]", "[::2]"], ["[::3]"]),
        ("host:80,other:81", ["host", "other:81"], ["host:81", "other"]),
        (" , ,", [], ["a.example"]),
    ],
)
def test_no_proxy_names_hosts_domains_and_networks(
    monkeypatch: pytest.MonkeyPatch, entries: str, hosts: list[str], others: list[str]
) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:1")
    monkeypatch.setenv("NO_PROXY", entries)
    assert [host for host in hosts if proxy_for(f"http://{host}/feed") is not None] == []
    assert [host for host in others if proxy_for(f"http://{host}/feed") is None] == []


# Certificates ----------------------------------------------------------------------------------------


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    context, certificate = certified(tmp_path)
    with serving(context) as server:
        yield server.serve(BODY), certificate


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_are_trusted_that_a_variable_names(
    tls: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    url, certificate = tls
    assert "certificate verify failed" in refused(url) or "self" in refused(url)
    monkeypatch.setenv(name, str(certificate))
    assert fetched(url) == BODY


def test_certificates_of_a_folder_are_trusted(
    tls: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url, certificate = tls
    command = ["openssl", "x509", "-noout", "-hash", "-in", str(certificate)]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    folder = tmp_path / "trusted"
    folder.mkdir()
    (folder / f"{name}.0").write_bytes(certificate.read_bytes())
    monkeypatch.setenv("SSL_CERT_DIR", f"{tmp_path}:{folder}")
    assert fetched(url) == BODY


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_that_are_not_there_are_a_wrong_setting(
    tls: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "/missing/certificates")
    with pytest.raises(ConfigurationError, match=f"{name} names /missing/certificates, which"):
        fetched(tls[0])
