"""gatehouse events: publish, follow, count, and look after the quarantine."""

import json as json_module
import sys
from typing import Annotated, Any

from cyclopts import App, Parameter

from cli.client import ApiClient
from cli.output import EXIT_USAGE, CommandError, Json, print_fields, print_json, print_table, say

app = App(name="events", help="Events of other services.")


@app.command
def publish(
    event_type: str,
    *,
    resource: str | None = None,
    severity: str | None = None,
    details: Annotated[str | None, Parameter(help="A JSON object; - reads it from stdin.")] = None,
    json: Json = False,
) -> None:
    """Publish an event; done when it is durable.

    Example: gatehouse events publish agent_deployed --resource agent/news-1 --details '{"version": 3}'
    """
    body: dict[str, Any] = {"event_type": event_type}
    body |= {name: value for name, value in {"resource": resource, "severity": severity}.items() if value}
    if details:
        body["details"] = _read_object(sys.stdin.read() if details == "-" else details)
    print_fields(ApiClient().ask("POST", "/api/events", body=body), as_json=json)


def _read_object(text: str) -> dict[str, Any]:
    try:
        value = json_module.loads(text)
    except ValueError as error:
        raise CommandError(f"--details is no JSON: {error}.", EXIT_USAGE) from error
    if not isinstance(value, dict):
        raise CommandError("--details must be a JSON object.", EXIT_USAGE)
    return value


@app.command
def tail(*, event_type: str | None = None, json: Json = False) -> None:
    """Follow events one by one as they enter the log, records of batches included, until interrupted.

    Example: gatehouse events tail --event-type agent_deployed
    """
    for entry in ApiClient().stream("/api/audit/stream", query={"event_type": event_type}):
        if json:
            print_json(entry)
        else:
            print(
                f"{entry['timestamp']}  {entry['event_type']:<24} {entry['source']}  {entry['resource'] or ''}",
                flush=True,
            )


@app.command
def types(*, json: Json = False) -> None:
    """List the catalogue of event types.

    Example: gatehouse events types
    """
    items = ApiClient().ask("GET", "/api/events/types")["items"]
    print_table(items, ("event_type", "severity", "category", "description"), as_json=json)


@app.command
def stats(*, hours: int = 24, json: Json = False) -> None:
    """Count events by type and source.

    Example: gatehouse events stats --hours 1
    """
    print_fields(ApiClient().ask("GET", "/api/events/stats", query={"time_range_hours": hours}), as_json=json)


@app.command
def quarantine(*, limit: int = 50, json: Json = False) -> None:
    """List what could not be taken in, with its reason.

    Example: gatehouse events quarantine
    """
    items = ApiClient().list("/api/events/quarantine", limit=limit)
    print_table(items, ("id", "quarantined_at", "subject", "reason", "size"), as_json=json)


@app.command
def requeue(quarantine_id: str) -> None:
    """Publish a quarantined message again.

    Example: gatehouse events requeue 17
    """
    ApiClient().ask("POST", f"/api/events/quarantine/{quarantine_id}/requeue")
    say("Published again.")
