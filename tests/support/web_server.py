"""A web server on the loopback interface that answers as a test tells it to, also badly."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Answer = Callable[[BaseHTTPRequestHandler], None]


class Web(ThreadingHTTPServer):
    """A server that answers as it is told, path by path."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.scheme = "http" if tls is None else "https"
        self.answers: dict[str, Answer] = {}
        self.requests: list[str] = []
        self.headers: list[Message] = []
        """Of each request."""
        self.bodies: list[tuple[str, bytes]] = []
        """Of each request, after its method."""
        self.over = threading.Event()
        """Set at the end of the test, for answers that stall."""

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.server_address[1]}{path}"

    def serve(self, answer: Answer | bytes, path: str = "/feed") -> str:
        """Answer a path with a body or by a function; return its URL."""
        self.answers[path] = answer_with(answer) if isinstance(answer, bytes) else answer
        return self.url(path)

    def sent(self, name: str) -> list[str | None]:
        """A header of each request."""
        return [headers.get(name) for headers in self.headers]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Web)
        length = int(self.headers.get("Content-Length", 0))
        self.server.requests.append(self.path)
        self.server.headers.append(self.headers)
        self.server.bodies.append((self.command, self.rfile.read(length)))
        self.close_connection = True
        self.server.answers[self.path](self)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    """Run a server."""
    with Web(tls) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


CA = """
[ca]
default_ca = ours
[ours]
database = {0}/index
serial = {0}/serial
new_certs_dir = {0}
default_md = sha256
policy = anyone
x509_extensions = extensions
[anyone]
commonName = supplied
[extensions]
basicConstraints = CA:TRUE
subjectAltName = {1}
[req]
distinguished_name = none
[none]
"""


def certified(
    folder: Path, name: str = "IP:127.0.0.1", expired: bool = False
) -> tuple[ssl.SSLContext, Path]:
    """Make a certificate that only those trust who are told to, for a server; returns its file, too."""
    begins, ends = ("20200101", "20200201") if expired else ("20240101", "20991231")
    settings, key, certificate = folder / "settings", folder / "key", folder / "certificate"
    settings.write_text(CA.format(folder, name))
    (folder / "index").touch()
    (folder / "serial").write_text("01")
    common = ["-config", str(settings)]
    for command in (
        ["req", *common, "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-subj", "/CN=ours", "-keyout", str(key), "-out", str(folder / "request")],
        ["ca", *common, "-batch", "-notext", "-selfsign", "-keyfile", str(key), "-startdate",
         f"{begins}000000Z", "-enddate", f"{ends}000000Z", "-in", str(folder / "request"),
         "-out", str(certificate)],
    ):  # fmt: skip
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


# Answers ---------------------------------------------------------------------------------------------


def answer_with(body: bytes = b"", status: int = 200, length: int | None = -1, **headers: str) -> Answer:
    """An answer with a body; `length` is what it announces (None: nothing), by default the truth."""
    return lambda request: _send(request, body, status, len(body) if length == -1 else length, headers)


def _send(
    request: BaseHTTPRequestHandler,
    body: bytes,
    status: int,
    length: int | None,
    headers: Mapping[str, str],
) -> None:
    request.send_response(status)
    if length is not None:
        request.send_header("Content-Length", str(length))
    request.send_header("Connection", "close")
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)


def chunked(body: bytes, end: bytes = b"0\r\n\r\n", status: int = 200, /, **headers: str) -> Answer:
    """An answer that announces no length, and ends as it is told."""
    parts = [body[start : start + 1000] for start in range(0, len(body), 1000)]
    sent = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + end
    return lambda request: _send(request, sent, status, None, {"Transfer-Encoding": "chunked"} | headers)


def whole(body: bytes, cut: int | None = None, /, **headers: str) -> Answer:
    """The whole of a body, or what is sent of it before it breaks."""
    return lambda request: _send(request, body[:cut], 200, len(body), headers)


def part(body: bytes, start: int, cut: int | None = None, /, **headers: str) -> Answer:
    """What a server sends that resumes at `start`; given headers replace its own."""
    span = {"Content_Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
    return lambda request: _send(request, body[start:cut], 206, len(body) - start, span | headers)


def in_turn(*answers: Answer) -> Answer:
    """Answer each request in its own way, and all further ones like the last."""
    left = list(answers)
    return lambda request: (left.pop(0) if len(left) > 1 else left[0])(request)


def resumable(body: bytes, cuts: Sequence[int], /, **headers: str) -> Answer:
    """A server that resumes, but breaks off: the n-th answer after the n-th number of bytes."""
    left = list(cuts)

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        cut = start + left.pop(0) if left else None
        (part(body, start, cut, **headers) if asked else whole(body, cut, **headers))(request)

    return answer


def then_reset(answer: Answer) -> Answer:
    """Answer, and reset the connection."""

    def answer_and_reset(request: BaseHTTPRequestHandler) -> None:
        answer(request)
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            request.connection.close()

    return answer_and_reset


def then_stall(answer: Answer) -> Answer:
    """Answer, and then keep the connection without a word."""

    def answer_and_stall(request: BaseHTTPRequestHandler) -> None:
        answer(request)
        assert isinstance(request.server, Web)
        request.server.over.wait()

    return answer_and_stall
