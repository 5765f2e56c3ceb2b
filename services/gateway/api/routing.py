"""What every route of the api shares: the permission it needs, strict queries and media types, its caller and its tools."""

import hmac
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from services.gateway.api.problem_errors import ProblemError
from services.gateway.api.tools import Tools
from services.gateway.authenticate import Principal, pick_credential
from services.gateway.problems import build_problem
from shared.bus import Caller, Operation, RpcClient
from shared.errors import invalid

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Reply = TypeVar("Reply", bound=BaseModel)
APPLIED_HEADER = "X-Gatehouse-Applied"
REPLAYED_HEADER = "Idempotency-Replayed"
LONGEST_IDEMPOTENCY_KEY = 255


def needs(*permissions: str) -> Callable[[Endpoint], Endpoint]:
    """Mark an endpoint: the caller must hold one of the permissions; none means any authenticated principal."""

    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.needed_permissions = permissions  # type: ignore[attr-defined]
        return endpoint

    return mark


class StrictRoute(APIRoute):
    """Checks, before the body is read: the permission, the query's names, the body's media type."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """Return the handler."""
        handle = super().get_route_handler()
        needed = getattr(self.endpoint, "needed_permissions", None)
        known = _query_names(self)

        async def check_and_handle(request: Request) -> Response:
            if needed is not None:
                _check_permission(request.state.principal, needed)
            for name in request.query_params:
                if name not in known:
                    raise invalid("is no parameter of this path", field=name)
            if self.body_field is not None:
                _check_media_type(request)
            return await handle(request)

        return check_and_handle


def _query_names(route: APIRoute) -> set[str]:
    """Return the names that a path's query may have; a query given as one model counts field by field."""
    names: set[str] = set()
    for parameter in route.dependant.query_params:
        model = parameter.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            names.update(field.alias or name for name, field in model.model_fields.items())
        else:
            names.add(parameter.alias)
    return names


def _check_permission(principal: Principal, needed: tuple[str, ...]) -> None:
    if principal.key_id is None:
        raise ProblemError(build_problem("unauthenticated", "A valid credential is needed."))
    if needed and not any(principal.may(permission) for permission in needed):
        raise ProblemError(build_problem("forbidden", f"This credential lacks {' or '.join(needed)}."))


def _check_media_type(request: Request) -> None:
    given = request.headers.get("content-type")
    if given is None or given.split(";")[0].strip().lower() != "application/json":
        if given is None and request.headers.get("content-length", "0") == "0":
            return
        raise ProblemError(build_problem("unsupported_media_type", "The body must be application/json."))


def find_caller(request: Request) -> Caller:
    """Return on whose behalf the request is made, for the owner. Raises AppError invalid for an absurd Idempotency-Key."""
    principal: Principal = request.state.principal
    return Caller(
        principal=principal.name,
        tenant=principal.tenant,
        permissions=principal.permissions,
        request_id=request.state.request_id,
        ip_address=request.state.ip_address,
        traceparent=request.state.traceparent,
        **_read_idempotency_key(request),
        credential_id=principal.key_id,
    )


def _read_idempotency_key(request: Request) -> dict[str, str]:
    """Return a POST's Idempotency-Key, and what seals its answer: an HMAC of it under the credential that came with it."""
    all_given = request.headers.getlist("idempotency-key")
    if not all_given or request.method != "POST":
        return {}
    given = all_given[0]
    if len(all_given) > 1:
        raise invalid("must be given once", field="idempotency-key")
    if not 0 < len(given) <= LONGEST_IDEMPOTENCY_KEY:
        raise invalid(f"must have 1 to {LONGEST_IDEMPOTENCY_KEY} characters", field="idempotency-key")
    credential, _ = pick_credential(request.headers.get("x-api-key"), request.headers.get("authorization"))
    answer_key = hmac.digest((credential or "").encode(), f"gatehouse answer\0{given}".encode(), "sha256").hex()
    return {"idempotency_key": given, "answer_key": answer_key}


def find_tools(request: Request) -> Tools:
    """Return what the process gives its handlers."""
    tools: Tools = request.app.state.tools
    return tools


CallerDep = Annotated[Caller, Depends(find_caller)]
ToolsDep = Annotated[Tools, Depends(find_tools)]


class Asker:
    """Asks an owner on behalf of the request's caller; marks the answer when its effect cannot be read yet."""

    def __init__(self, request: Request, response: Response) -> None:
        self.caller = find_caller(request)
        self._rpc: RpcClient = find_tools(request).rpc
        self._response = response

    async def ask(self, operation: Operation[Any, Reply], body: BaseModel) -> Reply:
        """Return the owner's reply. Raises AppError as the owner raised it."""
        reply = await self._rpc.call(operation, body, self.caller, on_replay=self._note_replay)
        if getattr(reply, "applied", True) is False:
            self._response.headers[APPLIED_HEADER] = "false"
        return reply

    def _note_replay(self) -> None:
        self._response.headers[REPLAYED_HEADER] = "true"


AskerDep = Annotated[Asker, Depends(Asker)]
