"""The same feed over HTTP, on the loopback interface, and from the disk."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measure import in_turn, ratio, walls
from bench.report import Figure, Part
from bench.workbench import Workbench, compressed

AGAINST_DISK = 1.1


def web(bench: Workbench) -> Part:
    """Measure runs from a URL and from the file that is behind it, in turn."""
    packed = compressed(bench.feed())
    with _served(packed) as url:
        samples = in_turn(
            {"disk": lambda: bench.run_etl(str(packed)), "http": lambda: bench.run_etl(url)}, bench.runs
        )
    for sample in samples["http"]:
        bench.checked(sample, bench.records)
    return Part(
        "Over HTTP: the compressed feed",
        [
            Figure("etl, from disk", walls(samples["disk"]), "s"),
            Figure("etl, over HTTP", walls(samples["http"]), "s"),
            Figure("HTTP / disk", ratio(samples["http"], samples["disk"]), at_most=AGAINST_DISK),
        ],
        [bench.shown("http://127.0.0.1:PORT/FEED.zst")],
    )


@contextmanager
def _served(file: Path) -> Iterator[str]:
    """Serve a file to any request, in a process of its own that lets the kernel do the copying."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        child = os.fork()
        if child == 0:
            try:
                _serve(listening, file)
            finally:
                os._exit(0)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/{file.name}"
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)


def _serve(listening: socket.socket, file: Path) -> None:
    size = file.stat().st_size
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n".encode()
    while True:
        connection, _ = listening.accept()
        with connection, file.open("rb") as body:
            received = b""
            while b"\r\n\r\n" not in received:
                received += connection.recv(1 << 16)
            connection.sendall(head)
            connection.sendfile(body)
