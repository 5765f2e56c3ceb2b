"""gatehouse backup and gatehouse restore: take, list, verify recovery points; plan and run restores."""

import sys
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from cli.client import ApiClient
from cli.output import EXIT_FAILED, CommandError, Json, print_fields, print_json, print_table, say

app = App(name="backup", help="Backups: recovery points of the streams.")
restore_app = App(name="restore", help="Restores: plan first, then run into a scratch stream.")
Wait = Annotated[bool, Parameter(name="--wait", negative="", help="Wait until it ended, showing progress.")]
_COLUMNS = ("backup_id", "type", "state", "created_at", "compressed_bytes", "verified_at", "description")
_RESTORE_COLUMNS = ("restore_id", "state", "phase", "dry_run", "target.sequence", "into", "created_at")
_POLL_SECONDS = 0.2


@app.command
def create(
    *,
    kind: Annotated[Literal["full", "incremental"], Parameter(name="--type")] = "full",
    description: str = "",
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Take a backup.

    Example: gatehouse backup create --type incremental --wait
    """
    client = ApiClient()
    made = client.ask("POST", "/api/backups", body={"type": kind, "description": description})
    if wait:
        made = _wait(client, f"/api/backups/{made['backup_id']}", lambda item: float(item["progress"]))
    print_fields(made, as_json=json)
    _check(made)


@app.command(name="list")
def list_backups(*, state: str | None = None, limit: int = 50, json: Json = False) -> None:
    """List backups, newest first.

    Example: gatehouse backup list --state completed
    """
    items = ApiClient().list("/api/backups", limit=limit, query={"state": state})
    print_table(items, _COLUMNS, as_json=json)


@app.command
def show(backup_id: str, *, json: Json = False) -> None:
    """Show a backup.

    Example: gatehouse backup show bkp_8fK2mQz7LpXa
    """
    print_fields(ApiClient().ask("GET", f"/api/backups/{backup_id}"), as_json=json)


@app.command
def verify(backup_id: str, *, json: Json = False) -> None:
    """Read a backup back and compare it with what was written; exit 1 when it differs.

    Example: gatehouse backup verify bkp_8fK2mQz7LpXa
    """
    report = ApiClient().ask("POST", f"/api/backups/{backup_id}/verify")
    print_fields(report, as_json=json)
    if not report["ok"]:
        raise CommandError(f"{report['first_bad']}: {report['reason']}.", EXIT_FAILED)


@app.command
def status(*, json: Json = False) -> None:
    """Show how much a disaster now would lose, and how long the last restore took.

    Example: gatehouse backup status
    """
    print_fields(ApiClient().ask("GET", "/api/backups/status"), as_json=json)


@app.command
def rm(backup_id: str) -> None:
    """Delete a backup that no later one follows.

    Example: gatehouse backup rm bkp_8fK2mQz7LpXa
    """
    ApiClient().ask("DELETE", f"/api/backups/{backup_id}")
    say(f"The backup {backup_id} is gone.")


@restore_app.command
def plan(
    *,
    backup_id: str | None = None,
    at: Annotated[str | None, Parameter(name="--time")] = None,
    sequence: int | None = None,
    stream: str = "EVENTS",
    json: Json = False,
) -> None:
    """Say what a restore would take away and bring back; changes nothing.

    Example: gatehouse restore plan --time 2026-11-20T10:00:00Z
    """
    body = _build_body(backup_id, at, sequence, stream=stream) | {"dry_run": True}
    client = ApiClient()
    made = client.ask("POST", "/api/restores", body=body)
    made = _wait(client, f"/api/restores/{made['restore_id']}", _share, made)
    _print_restore(made, as_json=json)
    _check(made)


@restore_app.command
def run(
    *,
    into: str | None = None,
    backup_id: str | None = None,
    at: Annotated[str | None, Parameter(name="--time")] = None,
    sequence: int | None = None,
    stream: str = "EVENTS",
    confirm: str | None = None,
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Restore into a scratch stream, and compare it with the backup.

    Example: gatehouse restore run --sequence 900 --into look-back --wait
    """
    body = _build_body(backup_id, at, sequence, stream=stream) | {"dry_run": False}
    body |= {name: value for name, value in {"into": into, "confirm": confirm}.items() if value is not None}
    client = ApiClient()
    made = client.ask("POST", "/api/restores", body=body)
    if wait:
        made = _wait(client, f"/api/restores/{made['restore_id']}", _share)
    _print_restore(made, as_json=json)
    _check(made)


@restore_app.command(name="status")
def show_restore(restore_id: str, *, json: Json = False) -> None:
    """Show a restore.

    Example: gatehouse restore status rst_8fK2mQz7LpXa
    """
    _print_restore(ApiClient().ask("GET", f"/api/restores/{restore_id}"), as_json=json)


@restore_app.command(name="list")
def list_restores(*, state: str | None = None, limit: int = 50, json: Json = False) -> None:
    """List restores, newest first.

    Example: gatehouse restore list --state running
    """
    items = ApiClient().list("/api/restores", limit=limit, query={"state": state})
    print_table(items, _RESTORE_COLUMNS, as_json=json)


@restore_app.command
def cancel(restore_id: str, *, json: Json = False) -> None:
    """Cancel a restore; its scratch stream goes with it.

    Example: gatehouse restore cancel rst_8fK2mQz7LpXa
    """
    _print_restore(ApiClient().ask("POST", f"/api/restores/{restore_id}/cancel"), as_json=json)


def _build_body(backup_id: str | None, at: str | None, sequence: int | None, *, stream: str) -> dict[str, Any]:
    given = {"backup_id": backup_id, "point_in_time": at, "sequence": sequence, "stream": stream}
    return {name: value for name, value in given.items() if value is not None}


def _share(item: dict[str, Any]) -> float:
    """Return how far a restore is: half of it is sending, half comparing."""
    progress = item["progress"]
    share = progress["messages"] / progress["messages_total"] if progress["messages_total"] else 0.0
    return (share + 1) / 2 if item["phase"] == "verify" else share / 2


def _wait(
    client: ApiClient, path: str, measure: Callable[[dict[str, Any]], float], item: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the item as it ended; a bar on stderr when somebody watches."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=1.0)
        while True:
            current: dict[str, Any] = item or client.ask("GET", path)
            if current["state"] != "running":
                return current
            item = None
            bar.update(task, completed=measure(current), description=current.get("phase", "backup"))
            time.sleep(_POLL_SECONDS)


def _check(item: dict[str, Any]) -> None:
    if item["state"] == "failed":
        raise CommandError(f"It failed: {item['error']}.", EXIT_FAILED)


def _print_restore(item: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(item)
        return
    shown = dict(item)
    found = shown.pop("plan")
    print_fields(shown, as_json=False)
    for name in ("removes", "brings_back") if found else ():
        difference = found[name]
        print(f"{name.replace('_', ' ')}: {difference['total']} events")
        for kind, count in sorted(difference["by_type"].items()):
            print(f"  {kind}  {count}")
