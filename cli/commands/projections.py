"""gatehouse projections: where they stand, and rebuilding one."""

from cyclopts import App

from cli.client import ApiClient
from cli.output import Json, print_fields, print_table

app = App(name="projections", help="Projections: how far each has applied its stream.")
_COLUMNS = ("service", "name", "stream", "sequence", "status", "lag_messages", "age_seconds", "reason")


@app.command
def status(*, json: Json = False) -> None:
    """List every projection.

    Example: gatehouse projections status
    """
    print_table(ApiClient().ask("GET", "/api/projections")["items"], _COLUMNS, as_json=json)


@app.command
def rebuild(service: str, name: str, *, json: Json = False) -> None:
    """Make a projection's tables anew while it serves.

    Example: gatehouse projections rebuild keys directory
    """
    print_fields(ApiClient().ask("POST", f"/api/projections/{service}/{name}/rebuild"), as_json=json)
