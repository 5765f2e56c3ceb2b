"""What a person reads when the stack is up: where to look, what to try next, and, once, the secrets."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cli.stack.supervisor import Supervisor


def print_welcome(supervisor: "Supervisor") -> None:
    """Print the welcome of a foreground start."""
    print_detached(supervisor.describe(), supervisor.secrets, is_first=supervisor.is_first_start)
    print("Ctrl-C stops everything.")


def print_detached(document: dict[str, Any], secrets: dict[str, str], *, is_first: bool) -> None:
    """Print where everything is; the secrets only on the first start."""
    print("Gatehouse is up.\n")
    print(f"  proxy   {document['proxy']}      your upstreams, behind keys and limits, every request recorded")
    print(f"  api     {document['api']}      reference at {document['api']}/docs")
    print(f"  nats    {document['nats']}")
    print(f"  home    {document['home']}\n")
    if is_first:
        print("Shown once; keep them elsewhere:")
        print(f"  administrator's API key  {secrets['admin_key']}")
        print(f"  recovery key (backups)   {secrets['backup_key']}\n")
    print("Try next:")
    shown = secrets["admin_key"] if is_first else "<your key>"
    print(f"  curl -H 'X-API-Key: {shown}' {document['proxy']}/demo/hello")
    print("  .venv/bin/gatehouse audit logs")
