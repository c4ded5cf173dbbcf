"""PgBouncer in front of a PostgreSQL server of the tests' own (Debian's package `pgbouncer`)."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg2

from tests.support.postgresql import START_SECONDS, Server, free_port

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class Pooler:
    """A running PgBouncer; every transaction, in that mode, goes to the session that waited the longest."""

    def __init__(self, server: Server, mode: str, size: int) -> None:
        self._server = server
        self._size = size
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="sluice-pooler-"))
        settings = self._folder / "pgbouncer.ini"
        settings.write_text(
            f"""
            [databases]
            * = host={server.folder} port={server.port} user=postgres
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = {self.port}
            unix_socket_dir =
            auth_type = any
            pool_mode = {mode}
            default_pool_size = {size}
            server_round_robin = 1
            """.replace("            ", "")
        )
        user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None  # it refuses to run as root
        if user is not None:
            os.chown(self._folder, user.pw_uid, user.pw_gid)
        assert PROGRAM is not None
        with open(self._folder / "log", "wb") as log:
            self._process = subprocess.Popen(
                [PROGRAM, settings], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                user=user and user.pw_uid, group=user and user.pw_gid, extra_groups=user and [],
                cwd=self._folder, start_new_session=True,
            )  # fmt: skip

    def url(self, database: str) -> str:
        """Return the URL of a database by way of the pooler."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def fill(self, database: str) -> None:
        """Have it open as many sessions as it may."""
        with ExitStack() as stack:
            for _ in range(self._size):
                connection = stack.enter_context(closing(psycopg2.connect(self.url(database))))
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1")  # whose transaction stays open

    def wait(self) -> None:
        """Wait until it answers."""
        limit = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg2.connect(self.url("postgres")).close()
                return
            except psycopg2.OperationalError:
                assert self._process.poll() is None, (self._folder / "log").read_text()
                assert time.monotonic() < limit, (self._folder / "log").read_text()
                time.sleep(0.02)

    def stop(self) -> None:
        """Stop at once, and remove everything."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        self._process.wait(START_SECONDS)
        shutil.rmtree(self._folder)


@contextmanager
def pooling(server: Server, mode: str, size: int = 3) -> Iterator[Pooler]:
    """Yield a pooler in a mode, of so many sessions a database."""
    pooler = Pooler(server, mode, size)
    try:
        pooler.wait()
        yield pooler
    finally:
        pooler.stop()
