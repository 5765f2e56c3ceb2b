"""gatehouse audit: the log, its live tail, its counts, its completeness."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import App, Parameter

from cli.client import ApiClient
from cli.output import Json, print_fields, print_json, print_table

app = App(name="audit", help="The audit log: everything that passed.")
_COLUMNS = ("index", "timestamp", "event_type", "severity", "status", "actor", "endpoint", "status_code", "resource")
Minutes = Annotated[int | None, Parameter(help="Only the last minutes.")]


def _since(minutes: int | None) -> str | None:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat() if minutes else None


@app.command
def logs(
    *,
    event_type: str | None = None,
    severity: str | None = None,
    actor: str | None = None,
    tenant: str | None = None,
    resource: str | None = None,
    status: str | None = None,
    request_id: str | None = None,
    trace_id: str | None = None,
    q: str | None = None,
    minutes: Minutes = None,
    order: str = "desc",
    limit: int = 50,
    json: Json = False,
) -> None:
    """List entries, newest first.

    Example: gatehouse audit logs --status denied --minutes 10
    """
    query = {
        "event_type": event_type, "severity_filter": severity, "actor": actor, "tenant": tenant, "resource": resource,
        "status": status, "request_id": request_id, "trace_id": trace_id, "q": q, "since": _since(minutes), "order": order,
    }  # fmt: skip
    print_table(ApiClient().list("/api/audit/logs", limit=limit, query=query), _COLUMNS, as_json=json)


@app.command
def tail(
    *, event_type: str | None = None, actor: str | None = None, status: str | None = None, json: Json = False
) -> None:
    """Follow the log live, until interrupted.

    Example: gatehouse audit tail --status failure
    """
    query = {"event_type": event_type, "actor": actor, "status": status}
    for entry in ApiClient().stream("/api/audit/stream", query=query):
        if json:
            print_json(entry)
        else:
            what = entry["endpoint"] or entry["resource"] or ""
            print(
                f"{entry['index']:>8}  {entry['timestamp']}  {entry['event_type']:<20} {entry['status']:<8} {what}",
                flush=True,
            )


@app.command
def show(entry_id: str, *, json: Json = False) -> None:
    """Show an entry.

    Example: gatehouse audit show 0197c2f4-7d2e-7000-8000-000000000000
    """
    print_fields(ApiClient().ask("GET", f"/api/audit/logs/{entry_id}"), as_json=json)


@app.command
def summary(*, hours: int = 24, json: Json = False) -> None:
    """Count what passed lately.

    Example: gatehouse audit summary --hours 1
    """
    print_fields(ApiClient().ask("GET", "/api/audit/summary", query={"time_range_hours": hours}), as_json=json)


@app.command
def types(*, json: Json = False) -> None:
    """List the catalogue of event types.

    Example: gatehouse audit types
    """
    items = ApiClient().ask("GET", "/api/audit/events")["items"]
    print_table(items, ("event_type", "severity", "category", "description"), as_json=json)


@app.command
def completeness(*, json: Json = False) -> None:
    """Show whether any record is missing, source by source.

    Example: gatehouse audit completeness
    """
    document = ApiClient().ask("GET", "/api/audit/completeness")
    if json:
        print_json(document)
        return
    print_table(document["sources"], ("source", "alive", "high_water", "holes", "lost_at_crash"), as_json=False)
    print(f"complete: {'yes' if document['complete'] else 'no'}")
