"""gatehouse alerts: rules, channels, and the alerts themselves."""

import json as json_codec
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from cli.client import ApiClient
from cli.output import EXIT_USAGE, CommandError, Json, print_fields, print_json, print_table, say

app = App(name="alerts", help="Alert rules, channels, and the alerts that fired.")
rules = App(name="rules", help="Alert rules.")
channels = App(name="channels", help="Where notifications go.")
app.command(rules)
app.command(channels)
_ALERTS = ("alert_id", "rule", "group", "state", "severity", "value", "threshold", "fired_at", "resolved_at")
_DELIVERIES = (
    "delivery_id",
    "alert_id",
    "channel",
    "transition",
    "state",
    "attempts",
    "last_status",
    "next_attempt_at",
)


@rules.command(name="list")
def list_rules(*, limit: int = 200, json: Json = False) -> None:
    """List rules.

    Example: gatehouse alerts rules list
    """
    items = ApiClient().list("/api/alerts/configs", limit=limit)
    print_table(items, ("name", "type", "severity", "threshold", "window_seconds", "channels", "enabled"), as_json=json)


@rules.command
def apply(*, file: Annotated[Path, Parameter(name=("--file", "-f"))], json: Json = False) -> None:
    """Create or change the rules of a file (JSON or TOML: a rule, a list, or `rules`); - is stdin, as JSON.

    Example: gatehouse alerts rules apply -f rules.toml
    """
    client = ApiClient()
    known = {rule["name"] for rule in client.list("/api/alerts/configs", limit=10_000)}
    applied = []
    for rule in _read_rules(file):
        name = str(rule.get("name"))
        if name in known:
            changes = {field: value for field, value in rule.items() if field not in {"name", "type"}}
            applied.append(client.ask("PATCH", f"/api/alerts/configs/{name}", body=changes))
        else:
            applied.append(client.ask("POST", "/api/alerts/configs", body=rule))
        say(f"{'Changed' if name in known else 'Created'} {name}.")
    if json:
        print_json(applied)


def _read_rules(file: Path) -> list[dict[str, Any]]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
        document = tomllib.loads(text) if file.suffix == ".toml" else json_codec.loads(text)
    except (OSError, ValueError) as error:
        raise CommandError(f"{file} cannot be read: {error}.", EXIT_USAGE) from error
    if isinstance(document, dict):
        document = document.get("rules", [document])
    if not isinstance(document, list) or not all(isinstance(rule, dict) for rule in document):
        raise CommandError(f"{file} holds no rules.", EXIT_USAGE)
    return document


@rules.command(name="rm")
def remove_rule(name: str) -> None:
    """Delete a rule; its open alerts resolve.

    Example: gatehouse alerts rules rm many-errors
    """
    ApiClient().ask("DELETE", f"/api/alerts/configs/{name}")
    say(f"The rule {name} is gone.")


@channels.command(name="list")
def list_channels(*, limit: int = 200, json: Json = False) -> None:
    """List channels; secrets are never shown.

    Example: gatehouse alerts channels list
    """
    items = ApiClient().list("/api/alerts/channels", limit=limit)
    print_table(items, ("name", "type", "url", "enabled", "disabled_reason", "updated_at"), as_json=json)


@channels.command(name="set")
def set_channel(name: str, url: str, *, enabled: bool = True, json: Json = False) -> None:
    """Create or change a webhook; its secrets are read from stdin, one a line, never given as a flag.

    Example: gatehouse alerts channels set ops-hook https://ops.example.org/hook < secrets.txt
    """
    client = ApiClient()
    secrets = [line.strip() for line in sys.stdin if line.strip()]
    body: dict[str, Any] = {"url": url, "enabled": enabled} | ({"secrets": secrets} if secrets else {})
    known = {channel["name"] for channel in client.list("/api/alerts/channels", limit=10_000)}
    if name in known:
        answer = client.ask("PATCH", f"/api/alerts/channels/{name}", body=body)
    else:
        answer = client.ask("POST", "/api/alerts/channels", body=body | {"name": name, "type": "webhook"})
    print_fields(answer, as_json=json)


@channels.command(name="rm")
def remove_channel(name: str) -> None:
    """Delete a channel.

    Example: gatehouse alerts channels rm ops-hook
    """
    ApiClient().ask("DELETE", f"/api/alerts/channels/{name}")
    say(f"The channel {name} is gone.")


@app.command
def active(*, rule: str | None = None, severity: str | None = None, limit: int = 50, json: Json = False) -> None:
    """List the alerts that are not resolved.

    Example: gatehouse alerts active --severity critical
    """
    items = ApiClient().list("/api/alerts/active", limit=limit, query={"rule": rule, "severity": severity})
    print_table(items, _ALERTS, as_json=json)


@app.command
def history(*, rule: str | None = None, since: str | None = None, limit: int = 50, json: Json = False) -> None:
    """List all alerts, newest first.

    Example: gatehouse alerts history --rule many-errors
    """
    items = ApiClient().list("/api/alerts/history", limit=limit, query={"rule": rule, "since": since})
    print_table(items, _ALERTS, as_json=json)


@app.command
def show(alert_id: str, *, json: Json = False) -> None:
    """Show an alert: what it counted, on which events, and whom it told.

    Example: gatehouse alerts show alr_0aB1cD2eF3gH4iJ5k
    """
    print_fields(ApiClient().ask("GET", f"/api/alerts/{alert_id}"), as_json=json)


@app.command
def ack(alert_id: str, *, until: str | None = None, note: str = "", json: Json = False) -> None:
    """Take an alert on, until a moment or for good.

    Example: gatehouse alerts ack alr_0aB1cD2eF3gH4iJ5k --note "looking at it"
    """
    body = {"note": note} | ({"until": until} if until else {})
    print_fields(ApiClient().ask("POST", f"/api/alerts/{alert_id}/acknowledge", body=body), as_json=json)


@app.command
def resolve(alert_id: str, *, json: Json = False) -> None:
    """Resolve an alert by hand; its counts start anew.

    Example: gatehouse alerts resolve alr_0aB1cD2eF3gH4iJ5k
    """
    print_fields(ApiClient().ask("POST", f"/api/alerts/{alert_id}/resolve"), as_json=json)


@app.command(name="test")
def send_test(rule: str, *, json: Json = False) -> None:
    """Send a test notification to a rule's channels.

    Example: gatehouse alerts test many-errors
    """
    answer = ApiClient().ask("POST", f"/api/alerts/configs/{rule}/test")
    print_table(answer["items"], _DELIVERIES, as_json=json)


@app.command
def deliveries(*, channel: str | None = None, state: str | None = None, limit: int = 50, json: Json = False) -> None:
    """List deliveries to channels, newest first.

    Example: gatehouse alerts deliveries --state failed
    """
    items = ApiClient().list("/api/alerts/deliveries", limit=limit, query={"channel": channel, "state": state})
    print_table(items, _DELIVERIES, as_json=json)


@app.command
def replay(delivery_id: str, *, json: Json = False) -> None:
    """Send a delivery again: the same body under the same webhook-id.

    Example: gatehouse alerts replay dlv_0aB1cD2eF3gH4iJ5k
    """
    print_fields(ApiClient().ask("POST", f"/api/alerts/deliveries/{delivery_id}/replay"), as_json=json)
