"""What a cluster of Airflow needs beside itself, each a process on loopback: Postgres, Redis, an S3 server."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx

from locus_stem.demo.airflow_process import free_port, inherited
from support.processes import Process

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Debian keeps the server's programs beside the path.
DEBIAN = Path("/usr/lib/postgresql")
MISSING = "is not installed: run scripts/install_services.sh"


class Postgres:
    """A server with one database and one user, both ``airflow``, that log in with ``password``."""

    user = database = "airflow"

    def __init__(self, folder: Path, log: Path, password: str | None = None) -> None:
        on_path = shutil.which("pg_ctl")
        found = [*DEBIAN.glob("*/bin"), *([Path(on_path).resolve().parent] if on_path else [])]
        if not found:
            raise FileNotFoundError(f"postgres {MISSING}")
        self._programs = found[0]
        # Its programs refuse to run as root, so root takes the user that Debian's package has made.
        self._owner = "postgres" if os.geteuid() == 0 else None
        self._folder = folder
        self.password = password or secrets.token_urlsafe(12)
        self.port = free_port()
        data = folder / "data"
        program = str(self._programs / "postgres")
        command = [program, "-D", str(data), "-p", str(self.port), "-h", "127.0.0.1"]
        settings = {"unix_socket_directories": folder, "max_connections": 200, "fsync": "off"}
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self.process = Process(command, inherited(), log, self._owner)

    def url(self, scheme: str = "postgresql+psycopg2") -> str:
        """Give the database's address as SQLAlchemy takes it."""
        return f"{scheme}://{self.user}:{quote(self.password, safe='')}@127.0.0.1:{self.port}/{self.database}"

    def busy(self, ports: Sequence[int]) -> int:
        """Count the connections from these ports that work, or are within a transaction."""
        import psycopg2

        with closing(psycopg2.connect(self.url("postgresql"))) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE client_port = ANY(%s) AND state <> 'idle'",
                (ports,),
            )
            return int(cursor.fetchone()[0])

    def make(self) -> None:
        """Make the data folder, start, and make the database."""
        secret = self._folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        if self._owner:
            who = pwd.getpwnam(self._owner)
            for place in (self._folder, secret):
                os.chown(place, who.pw_uid, who.pw_gid)
        self._run("initdb", "-D", str(self._folder / "data"), f"--username={self.user}", f"--pwfile={secret}")
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", self.user, self.database)

    def _run(self, program: str, *arguments: str) -> None:
        more = ["--auth=scram-sha-256", "--encoding=UTF8", "--no-sync"] if program == "initdb" else []
        done = subprocess.run(
            [str(self._programs / program), *more, *arguments],
            env={**inherited(), "PGPASSWORD": self.password},
            user=self._owner,
            group=self._owner,
            extra_groups=[] if self._owner else None,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")

    def start(self) -> None:
        """Start the server on its data folder and wait until it takes connections."""
        self.process.start()
        self.process.wait_until(self._ready, "Postgres")

    def _ready(self) -> bool:
        command = [str(self._programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-q"]
        return subprocess.run(command, check=False).returncode == 0

    def stop(self) -> None:
        """End the server at once but in order, as a restart of the database does."""
        self.process.stop(first=signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL the server with all its connections."""
        self.process.kill()


class Redis:
    """A broker that keeps nothing on disk."""

    def __init__(self, folder: Path, log: Path, password: str | None = None) -> None:
        self._program = shutil.which("redis-server")
        if not self._program:
            raise FileNotFoundError(f"redis-server {MISSING}")
        self.password = password or secrets.token_urlsafe(12)
        self.port = free_port()
        self._settings = folder / "redis.conf"
        self._settings.touch(mode=0o600)
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {folder}",
            f'requirepass "{self.password}"',
            'save ""',
        ]
        self._settings.write_text("\n".join(lines) + "\n")
        self.process = Process([self._program, str(self._settings)], inherited(), log)

    @property
    def url(self) -> str:
        """Give the broker's address as Celery takes it."""
        return f"redis://:{quote(self.password, safe='')}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        self.process.start()
        self.process.wait_until(partial(listens, self.port), "Redis")


class S3:
    """moto's server: buckets and objects in its memory, for whichever keys."""

    key, secret, region = "lake-key", "lake-secret-key", "us-east-1"

    def __init__(self, log: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = Process(command, inherited(), log)

    @property
    def environment(self) -> dict[str, str]:
        """Give the variables by which deltalake, pyarrow and boto3 find it."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
        }

    def start(self, *buckets: str) -> None:
        """Start the server and make buckets."""
        self.process.start()
        self.process.wait_until(partial(listens, self.port), "the S3 server")
        for bucket in buckets:
            httpx.put(f"{self.url}/{bucket}").raise_for_status()


def listens(port: int) -> bool:
    """Tell whether something takes connections at a port of loopback."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextmanager
def postgres(logs: Path, password: str | None = None) -> Iterator[Postgres]:
    """Run Postgres in a folder of its own, which its user can reach."""
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = Postgres(Path(folder), logs / "postgres.log", password)
        try:
            server.make()
            yield server
        finally:
            server.stop()


@contextmanager
def redis(logs: Path, password: str | None = None) -> Iterator[Redis]:
    """Run Redis."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = Redis(Path(folder), logs / "redis.log", password)
        try:
            server.start()
            yield server
        finally:
            server.process.stop()


@contextmanager
def s3(logs: Path, *buckets: str) -> Iterator[S3]:
    """Run an S3 server with buckets."""
    server = S3(logs / "s3.log")
    try:
        server.start(*buckets)
        yield server
    finally:
        server.process.stop(patience=2)
