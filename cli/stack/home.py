"""GATEHOUSE_HOME: where everything of one stack lies, and the secrets that are made on the first start (0600).

As root the Postgres cluster lies in /var/lib/gatehouse/<hash of home>, for Postgres refuses to run as root; the
permissions of existing folders are never changed.
"""

import base64
import hashlib
import json
import os
import secrets
import tempfile
from pathlib import Path

import nkeys

from cli.stack.errors import DataFolderError
from shared.ids import random_base62

SERVICES = ("keys", "audit", "alerts", "backup")
NATS_USERS = ("gateway", *SERVICES, "publisher", "subscriber")
LAYOUT_VERSION = 1
_SOCKET_NAME_BYTES = len("/.s.PGSQL.5432")
_SOCKET_PATH_LIMIT = 107  # sun_path of unix(7), less its closing zero


class Home:
    """The paths of one stack."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        digest = hashlib.sha256(str(self.path).encode()).hexdigest()[:16]
        self.run_file = self.path / "run.json"
        self.context_file = self.path / "context.toml"
        self.lock_file = self.path / "lock"
        self.logs = self.path / "logs"
        self.secrets = self.path / "secrets"
        self.nats = self.path / "nats"
        self.spool = self.path / "spool"
        self.backups = self.path / "backups"
        if os.geteuid() == 0:
            self.postgres = Path("/var/lib/gatehouse") / digest
            self.sockets = Path("/run/gatehouse") / digest
        else:
            self.postgres = self.path / "postgres"
            self.sockets = self.path / "sockets"
            if len(str(self.sockets)) + _SOCKET_NAME_BYTES > _SOCKET_PATH_LIMIT:
                self.sockets = Path(tempfile.gettempdir()) / f"gatehouse-{os.geteuid()}-{digest}"

    def make(self) -> None:
        """Make the folders that miss. Raises DataFolderError when that cannot be, or the layout is another version's."""
        try:
            for folder in (self.path, self.logs, self.secrets, self.nats, self.spool, self.backups):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            version = self.path / "layout"
            if not version.exists():
                version.write_text(f"{LAYOUT_VERSION}\n")
            found = version.read_text().strip()
        except OSError as error:
            raise DataFolderError(f"The folder {self.path} cannot be used: {error.strerror}.") from error
        if found != str(LAYOUT_VERSION):
            raise DataFolderError(
                f"The folder {self.path} was written by another version (layout {found}, this one has {LAYOUT_VERSION})."
            )

    @property
    def is_new(self) -> bool:
        """Whether this stack was never started."""
        return not (self.secrets / "secrets.json").exists()

    def seed_file(self, user: str) -> Path:
        """Return where a NATS user's nkey seed lies."""
        return self.secrets / f"{user}.nk"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, all of it or nothing."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _new_api_key() -> str:
    """Return a key of the form that http-api.md gives; the keys service checks it like any other."""
    from services.keys.contract.credentials import complete_key

    return complete_key("live", random_base62(12), random_base62(32))


def load_secrets(home: Home) -> dict[str, str]:
    """Return the house's secrets, made on the first start. Raises DataFolderError when they cannot be read."""
    path = home.secrets / "secrets.json"
    if home.is_new:
        for user in NATS_USERS:
            seed = nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_USER)
            write_private(home.seed_file(user), seed.decode())
        made = {
            "pepper": secrets.token_hex(32),
            "service_token": secrets.token_urlsafe(32),
            "backup_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "postgres_password": secrets.token_urlsafe(24),
            "admin_key": _new_api_key(),
            **{f"{service}_password": secrets.token_urlsafe(24) for service in SERVICES},
        }
        write_private(path, json.dumps(made, indent=1))
    try:
        loaded: dict[str, str] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataFolderError(f"The secrets in {path} cannot be read; restore them from your copy.") from error
    return loaded


def public_nkey(home: Home, user: str) -> str:
    """Return the public half of a NATS user's nkey."""
    public: bytes = nkeys.from_seed(home.seed_file(user).read_bytes().strip()).public_key
    return public.decode()
