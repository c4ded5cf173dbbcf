"""A web server that answers badly, as a random sequence tells it to."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from random import Random

from tests.support.web_server import Answer, answer_with, chunked, then_reset

from .workload import Ground

FLAKY = "/flaky?token=canary-token"


class Flaky:
    """A server that resumes, but for so many answers, drawn at random."""

    def __init__(self, document: bytes, random: Random, faults: int) -> None:
        self._random = random
        self._left = faults
        self._versions = [document, document.replace(b'"SectorNumber":42', b'"SectorNumber":43')]
        self._version = 0
        self._begun = False
        """Something of the first version was sent."""
        self.answers: list[str] = []
        """What was answered."""

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        how = "well"
        if self._left and self._random.random() < 0.9:
            self._left -= 1
            how = self._random.choice(list(self._faults()))
        self.answers.append(how)
        with contextlib.suppress(OSError):  # a client that goes away is no news
            self._faults()[how](request)

    def _faults(self) -> dict[str, Answer]:
        return {
            "well": self._whole_or_rest,
            "cut": self._cut,
            "reset": then_reset(self._cut),
            "paused": self._pause,
            "whole": self._whole,
            "short": self._short,
            "another range": self._another_range,
            "changed": self._change,
            "416": answer_with(status=416),
            "404": answer_with(b"canary", status=404),
            "429": answer_with(status=429, Retry_After="0"),
            "503": answer_with(b"canary", status=503),
            "a page": answer_with(b"<html>canary</html>"),
            "a broken page": chunked(b"<html>canary</html>", b""),
        }

    @property
    def _document(self) -> bytes:
        return self._versions[self._version]

    def _start(self, request: BaseHTTPRequestHandler) -> int:
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        same = request.headers.get("If-Range") in (None, f'"{self._version}"')
        return int(asked[1]) if asked and same else 0

    def send(
        self,
        request: BaseHTTPRequestHandler,
        start: int,
        stop: int,
        end: int | None = None,
        shift: int = 0,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        """Announce the bytes from `start` to `end`, and send those before `stop`."""
        size = len(self._document)
        end = size if end is None else end
        self._begun = True
        request.send_response(206 if start else 200)
        request.send_header("ETag", f'"{self._version}"')
        request.send_header("Content-Length", str(end - start))
        if start:
            request.send_header("Content-Range", f"bytes {start + shift}-{end - 1 + shift}/{size}")
        request.end_headers()
        half = (start + stop) // 2
        request.wfile.write(self._document[start:half])
        pause()
        request.wfile.write(self._document[half:stop])

    def _whole_or_rest(self, request: BaseHTTPRequestHandler) -> None:
        self.send(request, self._start(request), len(self._document))

    def _cut(self, request: BaseHTTPRequestHandler) -> None:
        start = self._start(request)
        self.send(request, start, self._random.randint(start, len(self._document)))

    def _pause(self, request: BaseHTTPRequestHandler) -> None:
        self.send(request, self._start(request), len(self._document), pause=lambda: time.sleep(0.3))

    def _whole(self, request: BaseHTTPRequestHandler) -> None:
        self.send(request, 0, len(self._document))

    def _short(self, request: BaseHTTPRequestHandler) -> None:
        """A shorter range than was asked for; the beginning alone would be the whole."""
        start, size = self._start(request), len(self._document)
        end = self._random.randint(start + 1, size) if start + 1 < size else size
        self.send(request, start, end, end if start else None)

    def _another_range(self, request: BaseHTTPRequestHandler) -> None:
        self.send(request, self._start(request), len(self._document), shift=-1)

    def _change(self, request: BaseHTTPRequestHandler) -> None:
        self._version = 1 if self._begun else 0
        self._whole_or_rest(request)


def flaky_source(ground: Ground, answer: Answer) -> str:
    return ground.web.serve(answer, FLAKY).replace("http://", "http://canary-user:canary-pass@")
