"""A TCP proxy on the loopback interface, that cuts, stalls or refuses as a test tells it to."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Watch = Callable[[int, bytes], None]
"""Is told how many bytes went one way before, and the next ones, before they are passed on."""


class Cut(Exception):
    """Raised by a watch: nothing more is passed on, and both ends are reset."""

    def __init__(self, passing: int = 0) -> None:
        """Pass on so many bytes of what was shown."""
        self.passing = passing


class Proxy:
    """Passes connections on to an address, for as long as nobody cuts them."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._target = address
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.connections = 0
        self.refusing = False
        self.stalling = threading.Event()
        """While it is set, nothing is passed on either way."""
        self.sent: Watch = lambda _count, _data: None
        """Watches what goes to the server."""
        self.received: Watch = lambda _count, _data: None
        """Watches what comes from it."""
        self._over = threading.Event()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def cut(self) -> None:
        """Reset all connections that there are."""
        for pair in self._pairs:
            for end in pair:
                _reset(end)

    def close(self) -> None:
        """End with everything."""
        self._over.set()
        self.cut()
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def _accept(self) -> None:
        self._listening.settimeout(0.05)
        while not self._over.is_set():
            try:
                client, _ = self._listening.accept()
            except TimeoutError:
                continue
            if self.refusing:
                _reset(client)
                client.close()
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:  # nobody is there
                _reset(client)
                client.close()
                continue
            self.connections += 1
            self._pairs.append((client, server))
            thread = threading.Thread(target=self._pass_on, args=(client, server))
            self._threads.append(thread)
            thread.start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        counts = {client: 0, server: 0}
        with (
            selectors.DefaultSelector() as selector,
            contextlib.suppress(OSError, ValueError, Cut),
            client,
            server,
        ):
            selector.register(client, selectors.EVENT_READ)
            selector.register(server, selectors.EVENT_READ)
            while not self._over.is_set():
                if self.stalling.is_set():
                    self._over.wait(0.01)
                    continue
                for key, _ in selector.select(0.05):
                    source = client if key.fileobj is client else server
                    target = server if source is client else client
                    if not (data := source.recv(1 << 16)):
                        return
                    watch = self.sent if source is client else self.received
                    try:
                        watch(counts[source], data)
                    except Cut as cut:
                        target.sendall(data[: cut.passing])
                        _reset(client)
                        _reset(server)
                        raise
                    counts[source] += len(data)
                    target.sendall(data)


def _reset(end: socket.socket) -> None:
    """Have the other side told at once, and not by an orderly end."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RDWR)


@contextmanager
def passing_on(host: str, port: int) -> Iterator[Proxy]:
    """Run a proxy for an address."""
    proxy = Proxy((host, port))
    try:
        yield proxy
    finally:
        proxy.close()


def cut_after(count: int) -> Watch:
    """Cut the first connection that has had so many bytes, once."""
    left = [count]

    def watch(before: int, data: bytes) -> None:
        if left and before + len(data) >= left[0]:
            raise Cut(left.pop() - before)

    return watch
