"""gatehouse diagnostics: the whole house at a glance."""

from cyclopts import App

from cli.client import ApiClient
from cli.output import Json, print_json, print_table, say

app = App(name="diagnostics", help="Every service, stream and store, and the last backup.")
_SERVICES = ("service", "status", "version", "uptime_seconds", "wrong")
_STREAMS = ("name", "messages", "bytes", "first_sequence", "last_sequence", "consumers")
_PROJECTIONS = ("service", "name", "status", "sequence", "lag_messages")


@app.default
def show(*, json: Json = False) -> None:
    """Show health, version and uptime of every service, the streams, the projections and the last backup.

    Example: gatehouse diagnostics
    """
    document = ApiClient().ask("GET", "/api/diagnostics")
    if json:
        print_json(document)
        return
    services = [
        state | {"service": name, "wrong": "; ".join(_list_wrong(state["parts"]))}
        for name, state in document["services"].items()
    ]
    for items, columns in (
        (services, _SERVICES),
        (document["streams"] or [], _STREAMS),
        (document["projections"], _PROJECTIONS),
    ):
        print_table(items, columns, as_json=False)
        print()
    last = document["last_backup"]
    say(
        f"The house is {document['status']}. " + (f"Last backup: {last['completed_at']}." if last else "No backup yet.")
    )


def _list_wrong(parts: dict[str, str]) -> list[str]:
    return [f"{part}: {state}" for part, state in parts.items() if state != "ok"]
