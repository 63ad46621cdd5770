"""A PostgreSQL server of our own, on a free port of the loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class NotInstalled(Exception):
    """There is no PostgreSQL on this machine."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server."""

    port: int
    _binaries: Path
    _control: tuple[str, ...]
    _options: str
    _folder: Path

    def start(self) -> None:
        """Start it (again), and return when it answers."""
        log = str(self._folder / "log")
        command = [*self._control, "-l", log, "-o", self._options, "start"]
        subprocess.run(command, check=True, capture_output=True, cwd=self._folder)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of an empty database, which is gone after the block."""
        name = f"test_{secrets.token_hex(6)}"
        self._run("createdb", name)
        try:
            yield f"postgresql+asyncpg://ditto@127.0.0.1:{self.port}/{name}"
        finally:
            self._run("dropdb", "--force", "--if-exists", name)

    def _run(self, program: str, *arguments: str) -> None:
        connection = ("--host=127.0.0.1", f"--port={self.port}", "--username=ditto")
        command = [str(self._binaries / program), *connection, *arguments]
        subprocess.run(command, check=True, capture_output=True)

    def stop(self) -> None:
        """Cut all connections, as a crash does."""
        subprocess.run([*self._control, "-m", "immediate", "stop"], check=True, capture_output=True)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server without databases of ours. Raises `NotInstalled`."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        raise NotInstalled("PostgreSQL is not installed (Debian's package: postgresql)")
    binaries = programs[-1]
    folder = Path(tempfile.mkdtemp(prefix="ditto-pg-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(folder, "postgres", "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    subprocess.run(
        [*as_user, binaries / "initdb", "-D", data, "-U", "ditto", "-A", "trust", "-E", "UTF8"],
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip
    server = Postgres(
        port,
        binaries,
        (*as_user, str(binaries / "pg_ctl"), "-D", str(data), "-w"),
        f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}",
        folder,
    )
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
