"""/api/routes: what the proxy forwards, and where to."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from services.gateway.api.routing import AskerDep, StrictRoute, needs
from services.keys.contract import requests
from shared.errors import invalid

router = APIRouter(prefix="/api/routes", tags=["Config"], route_class=StrictRoute)
RouteName = Annotated[str, Path(description="The route's name.", examples=["orders"], max_length=63)]


@router.get("")
@needs("config:read")
async def list_routes(asker: AskerDep, query: Annotated[requests.ListRoutes, Query()]) -> requests.RoutePage:
    """List routes, newest first."""
    return await asker.ask(requests.LIST_ROUTES, query)


@router.post("", status_code=201)
@needs("config:write")
async def create_route(body: requests.Route, asker: AskerDep) -> requests.Route:
    """Create a route; gateways honour it within a second."""
    return (await asker.ask(requests.PUT_ROUTE, requests.PutRoute(route=body, must_be_new=True))).route


@router.get("/{name}")
@needs("config:read")
async def show_route(name: RouteName, asker: AskerDep) -> requests.Route:
    """Show a route."""
    return await asker.ask(requests.FIND_ROUTE, requests.RouteName(name=name))


@router.put("/{name}", responses={201: {"model": requests.Route, "description": "Created."}})
@needs("config:write")
async def put_route(name: RouteName, body: requests.Route, asker: AskerDep, response: Response) -> requests.Route:
    """Create or replace a route."""
    if body.name != name:
        raise invalid("name must be the one in the path", field="name")
    stored = await asker.ask(requests.PUT_ROUTE, requests.PutRoute(route=body))
    response.status_code = 201 if stored.created else 200
    return stored.route


@router.delete("/{name}", status_code=204)
@needs("config:write")
async def delete_route(name: RouteName, asker: AskerDep) -> None:
    """Delete a route; its prefix is free again."""
    await asker.ask(requests.DELETE_ROUTE, requests.RouteName(name=name))
