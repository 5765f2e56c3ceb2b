"""gatehouse keys: generate, list, show, change, rotate, revoke, verify."""

import sys
from typing import Annotated

from cyclopts import App, Parameter

from cli.client import ApiClient
from cli.output import EXIT_REFUSED, CommandError, Json, print_fields, print_json, print_table, say

app = App(name="keys", help="API keys.")
_COLUMNS = ("key_id", "name", "status", "tenant", "rate_limit", "requests_count", "last_used", "created_at")


@app.command
def generate(
    name: str,
    *,
    permission: Annotated[list[str] | None, Parameter(name="--permission", negative="")] = None,
    rate_limit: int = 1000,
    tenant: str | None = None,
    expires_in_days: int | None = None,
    allowed_ip: Annotated[list[str] | None, Parameter(name="--allowed-ip", negative="")] = None,
    json: Json = False,
) -> None:
    """Generate a key; its secret is printed once.

    Example: gatehouse keys generate production --permission read --rate-limit 500
    """
    body: dict[str, object] = {"name": name, "rate_limit": rate_limit}
    optional = {
        "permissions": permission,
        "tenant": tenant,
        "expires_in_days": expires_in_days,
        "allowed_ips": allowed_ip,
    }
    body |= {field: value for field, value in optional.items() if value is not None}
    answer = ApiClient().ask("POST", "/api/keys/generate", body=body)
    _print_issued(answer, as_json=json)


@app.command(name="list")
def list_keys(*, status: str | None = None, tenant: str | None = None, limit: int = 50, json: Json = False) -> None:
    """List keys, newest first.

    Example: gatehouse keys list --status active
    """
    items = ApiClient().list("/api/keys/list", limit=limit, query={"status": status, "tenant": tenant})
    print_table(items, _COLUMNS, as_json=json)


@app.command
def info(key_id: str, *, json: Json = False) -> None:
    """Show a key and what it did lately.

    Example: gatehouse keys info key_8fK2mQz7LpXa
    """
    print_fields(ApiClient().ask("GET", f"/api/keys/{key_id}/info"), as_json=json)


@app.command
def update(key_id: str, *, name: str | None = None, rate_limit: int | None = None, json: Json = False) -> None:
    """Change a key's name or limit.

    Example: gatehouse keys update key_8fK2mQz7LpXa --rate-limit 2000
    """
    body = {field: value for field, value in {"name": name, "rate_limit": rate_limit}.items() if value is not None}
    print_fields(ApiClient().ask("PATCH", f"/api/keys/{key_id}", body=body), as_json=json)


@app.command
def rotate(key_id: str, *, grace_seconds: int = 3600, json: Json = False) -> None:
    """Give a key a new secret; the old one works until the grace ends.

    Example: gatehouse keys rotate key_8fK2mQz7LpXa --grace-seconds 600
    """
    answer = ApiClient().ask("POST", f"/api/keys/{key_id}/rotate", body={"grace_seconds": grace_seconds})
    _print_issued(answer, as_json=json)


@app.command
def revoke(key_id: str, *, reason: str = "", json: Json = False) -> None:
    """Revoke a key for good.

    Example: gatehouse keys revoke key_8fK2mQz7LpXa --reason "left the team"
    """
    print_fields(ApiClient().ask("POST", f"/api/keys/{key_id}/revoke", body={"reason": reason}), as_json=json)


@app.command
def verify(*, permission: str | None = None, cost: int = 0, json: Json = False) -> None:
    """Say whether a key, read from stdin, is good; exit 3 when it is not.

    Example: gatehouse keys verify < key.txt
    """
    body = {"key": sys.stdin.readline().strip(), "cost": cost}
    answer = ApiClient().ask("POST", "/api/keys/verify", body=body | ({"permission": permission} if permission else {}))
    print_fields(answer, as_json=json)
    if not answer["valid"]:
        raise CommandError(f"The key is not good: {answer['code']}.", EXIT_REFUSED)


def _print_issued(answer: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    say(str(answer["warning"]))
    print(answer["full_key_secret"])
    say(f"Next: {answer['usage_example']}")
