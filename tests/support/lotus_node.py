"""A Lotus node on the loopback interface, as far as it is asked here, and ways for it to fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

HEAD = 4_200_000
GENESIS = 1598306400
PIECE = 1 << 16


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    params: Any
    authorization: str | None


@dataclass(frozen=True)
class Answer:
    """What is sent back; if `cut`, the connection breaks after the body, as if more were to come."""

    body: bytes | Iterable[bytes] = b""
    status: int = 200
    cut: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    def pieces(self) -> Iterator[bytes]:
        if isinstance(self.body, bytes):
            yield from (self.body[at : at + PIECE] for at in range(0, len(self.body), PIECE))
        else:
            yield from self.body


def result(value: object) -> Answer:
    return Answer(json.dumps({"jsonrpc": "2.0", "result": value, "id": 1}).encode())


def error(message: str, code: int = 1, status: int = 200) -> Answer:
    """An error as go-jsonrpc sends it: status 200 if a method fails, 400 or 500 if none can be called."""
    body = {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}}
    return Answer(json.dumps(body).encode(), status)


class Node(ThreadingHTTPServer):
    """A node, running within a `with`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.head = HEAD
        self.genesis = GENESIS
        self.accounts: dict[str, str] = {}
        """ID addresses by robust address; an ID address is known as itself."""
        self.deals = b"{}"
        """What `StateMarketDeals` has for a result."""
        self.token: str | None = None
        """What must be shown, if anything."""
        self.answers: dict[str, Answer] = {}
        """By method, what is answered in place of what is right."""
        self.requests: list[Asked] = []
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/rpc/v1"

    def methods(self) -> list[str]:
        """The methods that were asked for, in order."""
        return [asked.method for asked in self.requests]

    def answer(self, asked: Asked) -> Answer:
        """Record a request and return what to answer."""
        self.requests.append(asked)
        if self.token is not None and asked.authorization != f"Bearer {self.token}":
            return Answer(status=401)
        if asked.method in self.answers:
            return self.answers[asked.method]
        match asked.method, asked.params:
            case "Filecoin.ChainHead", []:
                return result(self._tipset(self.head))
            case "Filecoin.ChainGetGenesis", []:
                return result(self._tipset(0))
            case "Filecoin.StateLookupID", [address, None]:
                return self._lookup(address)
            case "Filecoin.StateMarketDeals", [None]:
                return Answer(b'{"jsonrpc":"2.0","result":' + self.deals + b',"id":1}\n')
        return error(f"method '{asked.method}' not found", -32601, 500)

    def _tipset(self, height: int) -> dict[str, object]:
        block = {"Miner": "f01000", "Height": height, "Timestamp": self.genesis + 30 * height}
        return {"Cids": [{"/": "bafy2bza"}], "Blocks": [block], "Height": height}

    def _lookup(self, address: str) -> Answer:
        if address[1] == "0" or address in self.accounts:
            return result(self.accounts.get(address, address))
        return error(f"resolution lookup failed ({address}): resolve address {address}: actor not found")

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""

    def __enter__(self) -> Node:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        assert isinstance(self.server, Node)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert (body["jsonrpc"], self.headers["Content-Type"]) == ("2.0", "application/json")
        self._send(self.server.answer(Asked(body["method"], body["params"], self.headers["Authorization"])))

    def _send(self, answer: Answer) -> None:
        """Send an answer in chunks, as Go does with whatever is long."""
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in answer.pieces():
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if answer.cut:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
