"""gatehouse demo: one request through the whole house, with what became of it."""

import time
from typing import Any

from cyclopts import App

from cli.client import ApiClient, default_home
from cli.output import EXIT_UNREACHABLE, CommandError, Json, print_json

_BOUND_SECONDS = 10.0


def register(app: App) -> None:
    """Add the command to the program."""
    app.command(demo)


def demo(*, json: Json = False) -> None:
    """Send a request through the proxy with a new key, and show its record in the log.

    Example: gatehouse demo
    """
    client = ApiClient()
    issued = client.ask("POST", "/api/keys/generate", body={"name": "demo", "rate_limit": 60, "expires_in_days": 1})
    proxy = _find_proxy()
    answer = _send(proxy, issued["full_key_secret"])
    entry = _wait_for_entry(client, answer.headers["x-request-id"])
    document = {
        "status": answer.status_code,
        "body": answer.text,
        "headers": _pick_headers(answer.headers),
        "entry": entry,
    }
    if json:
        print_json(document)
        return
    print(f"1. A key was made: {issued['key_id']}, 60 requests a minute.")
    print(f"2. GET {proxy}/demo/hello answered {answer.status_code}: {answer.text}")
    print(f"3. Its limit now: {answer.headers['ratelimit']}")
    print(
        f"4. Its record is entry {entry['index']} of the log: "
        f"{entry['event_type']} by {entry['actor']}, {entry['duration_ms']} ms."
    )
    print(f"   See it with: gatehouse audit show {entry['id']}")


def _send(proxy: str, secret: str) -> Any:
    import httpx

    deadline = time.monotonic() + _BOUND_SECONDS
    while True:
        try:
            answer = httpx.get(f"{proxy}/demo/hello", headers={"X-API-Key": secret}, timeout=10, trust_env=False)
        except httpx.HTTPError as error:
            raise CommandError(f"{proxy} cannot be reached: {error}.", EXIT_UNREACHABLE) from error
        if answer.is_success or time.monotonic() > deadline:
            return answer
        time.sleep(0.05)  # a new key is honoured by every gateway within a second


def _pick_headers(headers: Any) -> dict[str, str]:
    return {name: headers[name] for name in ("x-request-id", "ratelimit", "server-timing") if name in headers}


def _find_proxy() -> str:
    import json as json_module

    try:
        return str(json_module.loads((default_home() / "run.json").read_text())["proxy"])
    except (OSError, ValueError, KeyError) as error:
        raise CommandError(
            "The demo needs a stack on this machine: `gatehouse up --detach`.", EXIT_UNREACHABLE
        ) from error


def _wait_for_entry(client: ApiClient, request_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + _BOUND_SECONDS
    while time.monotonic() < deadline:
        items = client.ask("GET", "/api/audit/logs", query={"request_id": request_id})["items"]
        if items:
            return dict(items[0])
        time.sleep(0.05)
    raise CommandError("The record did not appear in the log within ten seconds.")
