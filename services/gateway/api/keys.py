"""/api/keys: generate, list, info, update, rotate, revoke, verify."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress

from services.gateway.api.routing import AskerDep, CallerDep, StrictRoute, ToolsDep, needs
from services.gateway.api.tools import Tools
from services.gateway.authenticate import Principal, RefusedError
from services.keys.contract import requests
from services.keys.contract.permissions import allows
from shared.errors import unavailable

router = APIRouter(prefix="/api/keys", tags=["Keys"], route_class=StrictRoute)
KeyId = Annotated[str, Path(description="The key's id.", examples=["key_8fK2mQz7LpXa"], max_length=100)]


class VerifyKey(BaseModel):
    """POST /api/keys/verify; `cost` 0 only looks at the limit."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"key": "gk_live_…", "cost": 0}]})
    key: Annotated[str, Field(max_length=200)]
    permission: Annotated[str, Field(max_length=100)] | None = None
    cost: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    ip: IPvAnyAddress | None = None


class RateLimitState(BaseModel):
    """Where a key's limit stands."""

    limit: int
    remaining: int
    reset: int


class KeyVerdict(BaseModel):
    """Whether a key may, and why not."""

    valid: bool
    code: str
    key_id: str | None = None
    tenant: str | None = None
    permissions: list[str] = []
    ratelimit: RateLimitState | None = None


@router.post("/generate", status_code=201, response_model_exclude={"applied", "previous_valid_until"})
@needs("keys:write", "keys:write:own")
async def generate_key(body: requests.GenerateKey, asker: AskerDep) -> requests.KeyIssued:
    """Generate a key. The secret is in this answer and nowhere else."""
    return await asker.ask(requests.GENERATE, body)


@router.get("/list")
@needs("keys:read", "keys:read:own")
async def list_keys(asker: AskerDep, query: Annotated[requests.ListKeys, Query()]) -> requests.KeyPage:
    """List keys, newest first."""
    return await asker.ask(requests.LIST, query)


@router.get("/{key_id}/info")
@needs("keys:read", "keys:read:own")
async def show_key(key_id: KeyId, asker: AskerDep) -> requests.KeyInfo:
    """Show a key and what it did lately."""
    return await asker.ask(requests.INFO, requests.FindKey(key_id=key_id))


@router.patch("/{key_id}")
@needs("keys:write", "keys:write:own")
async def update_key(key_id: KeyId, body: requests.UpdateKey, asker: AskerDep) -> requests.KeyResource:
    """Change what is given; a revoked key stays as it is."""
    return (await asker.ask(requests.UPDATE, requests.KeyCommand(key_id=key_id, update=body))).key


@router.post("/{key_id}/rotate", status_code=201, response_model_exclude={"applied"})
@needs("keys:write", "keys:write:own")
async def rotate_key(key_id: KeyId, asker: AskerDep, body: requests.RotateKey | None = None) -> requests.KeyIssued:
    """Give a key a new secret; the old one works until the grace ends."""
    command = requests.KeyCommand(key_id=key_id, rotate=body or requests.RotateKey())
    return await asker.ask(requests.ROTATE, command)


@router.post("/{key_id}/revoke")
@needs("keys:write", "keys:write:own")
async def revoke_key(key_id: KeyId, asker: AskerDep, body: requests.RevokeKey | None = None) -> requests.KeyResource:
    """Revoke a key for good: every gateway refuses it within 100 ms."""
    command = requests.KeyCommand(key_id=key_id, revoke=body or requests.RevokeKey())
    return (await asker.ask(requests.REVOKE, command)).key


@router.post("/verify")
@needs("keys:read")
async def verify_key(body: VerifyKey, caller: CallerDep, tools: ToolsDep) -> KeyVerdict:
    """Say whether a key is good, from this gateway's own view: always 200, with a code."""
    if tools.feed.view is None:
        raise unavailable("the view")
    try:
        principal = tools.authenticator.authenticate(tools.feed.view, body.key, str(body.ip) if body.ip else None)
    except RefusedError as refusal:
        codes = {"revoked": "REVOKED", "expired": "EXPIRED", "ip_not_allowed": "IP_NOT_ALLOWED"}
        return KeyVerdict(valid=False, code=codes.get(refusal.reason, "NOT_FOUND"))
    if principal.tenant != caller.tenant and not allows(caller.permissions, "tenants:all"):
        return KeyVerdict(valid=False, code="NOT_FOUND")
    return _judge(body, principal, tools)


def _judge(body: VerifyKey, principal: Principal, tools: Tools) -> KeyVerdict:
    known: dict[str, Any] = {
        "key_id": principal.key_id, "tenant": principal.tenant, "permissions": list(principal.permissions),
    }  # fmt: skip
    if body.permission and not principal.may(body.permission):
        return KeyVerdict(valid=False, code="INSUFFICIENT_PERMISSIONS", **known)
    decision = tools.limiter.take(
        "per-key", str(principal.key_id), principal.rate_limit, cost=body.cost, now=time.time()
    )
    state = RateLimitState(limit=decision.limit, remaining=decision.remaining, reset=decision.reset_seconds)
    code = "VALID" if decision.admitted else "RATE_LIMITED"
    return KeyVerdict(valid=decision.admitted, code=code, ratelimit=state, **known)
