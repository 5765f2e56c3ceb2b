"""gatehouse routes: what the proxy forwards, and where to."""

from typing import Annotated

from cyclopts import App, Parameter

from cli.client import ApiClient
from cli.output import Json, print_fields, print_table, say

app = App(name="routes", help="Routes: path prefixes on the proxy and the upstreams behind them.")


@app.command
def add(
    name: str,
    path_prefix: str,
    upstream: Annotated[list[str], Parameter(help="One or more addresses.")],
    *,
    auth: str = "required",
    audit: str = "strict",
    json: Json = False,
) -> None:
    """Add a route.

    Example: gatehouse routes add orders /orders http://127.0.0.1:9000
    """
    body = {"name": name, "path_prefix": path_prefix, "upstream": upstream, "auth": auth, "audit": audit}
    print_fields(ApiClient().ask("POST", "/api/routes", body=body), as_json=json)


@app.command(name="list")
def list_routes(*, limit: int = 200, json: Json = False) -> None:
    """List routes.

    Example: gatehouse routes list
    """
    items = ApiClient().list("/api/routes", limit=limit)
    print_table(items, ("name", "path_prefix", "upstream", "auth", "audit", "enabled"), as_json=json)


@app.command
def show(name: str, *, json: Json = False) -> None:
    """Show a route.

    Example: gatehouse routes show demo
    """
    print_fields(ApiClient().ask("GET", f"/api/routes/{name}"), as_json=json)


@app.command
def rm(name: str) -> None:
    """Delete a route.

    Example: gatehouse routes rm orders
    """
    ApiClient().ask("DELETE", f"/api/routes/{name}")
    say(f"The route {name} is gone.")
