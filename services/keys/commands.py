"""What keys can be told to do: load by fold, decide, append with the expected sequence, wait until it can be read.

Runs on every replica, several at once. A conflict is tried again a few times; an effect that is durable but not yet
readable within the bound is answered from the fold with `applied` false.
"""

import asyncio
import hmac
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from pydantic import BaseModel

from services.keys.contract.credentials import PEPPER_VERSION, complete_key, compute_mac, read_key_id
from services.keys.contract.events import ApiKeyCreated, Secret, Verifier
from services.keys.contract.permissions import allows, find_lacking
from services.keys.contract.requests import (
    GenerateKey,
    KeyChanged,
    KeyCommand,
    KeyIssued,
)
from services.keys.domain import (
    Key,
    decide_revoke,
    decide_rotate,
    decide_update,
    evolve,
    fold,
)
from services.keys.errors import lacking, not_your_tenant
from services.keys.queries import present_key
from services.keys.settings import Settings
from services.keys.store import KeyStore
from shared.bus import Caller, WrongExpectationError, build_subject, retry_conflicts
from shared.clock import Clock, format_time
from shared.errors import AppError, not_found
from shared.ids import encode_base62, random_base62
from shared.projector import AppliedWaiter

log = structlog.get_logger(__name__)
DIRECTORY = "directory"
_SECRET_LENGTH = 44  # twelve for the public id, the rest for the secret


class KeyCommands:
    """The commands of keys."""

    def __init__(self, store: KeyStore, waiter: AppliedWaiter, clock: Clock, settings: Settings) -> None:
        self._store = store
        self._waiter = waiter
        self._clock = clock
        self._settings = settings
        self._pepper = bytes.fromhex(settings.pepper.get_secret_value())

    async def generate(self, body: GenerateKey, caller: Caller) -> KeyIssued:
        """Generate a key. Raises forbidden when the caller grants what they lack, or acts for another tenant.

        Under an Idempotency-Key the id and the secret are derived from its seed (HMAC under the pepper), so that a retry
        after a crash meets its own event and answers as its first try would have.
        """
        secret = self._choose_secret(caller)
        secret_text = complete_key(self._settings.key_environment, secret[:12], secret[12:])
        if known := fold(await self._store.load_made("key", f"key_{secret[:12]}", caller)):
            return self._issue(known, secret_text, applied=True)
        key, applied = await self._create(body, secret_text, caller)
        return self._issue(key, secret_text, applied=applied)

    def _choose_secret(self, caller: Caller) -> str:
        """Return 44 characters of base62: at random, or under an Idempotency-Key the same at every retry."""
        if not caller.seed:
            return random_base62(_SECRET_LENGTH)
        number = int.from_bytes(hmac.digest(self._pepper, f"idempotency\0{caller.derive('secret')}".encode(), "sha512"))
        return encode_base62(number, length=64)[-_SECRET_LENGTH:]

    async def ensure_admin_key(self, key_text: str) -> None:
        """Make the first administrator's key an event, once; a second replica or start finds it there."""
        key_id = read_key_id(key_text)
        if key_id is None:
            raise ValueError("ADMIN_KEY is not a well-formed key")
        while True:
            try:
                if await self._store.load("key", key_id):
                    return
                break
            except AppError as error:
                log.warning("the administrator's key waits", reason=error.public)
                await asyncio.sleep(1)
        body = GenerateKey(name="administrator", permissions=["admin"], rate_limit=1_000_000, owner="user:admin")
        try:
            await self._create(body, key_text, Caller(principal="service:keys", permissions=("*",)))
        except WrongExpectationError:
            return

    async def _create(self, body: GenerateKey, secret_text: str, caller: Caller) -> tuple[Key, bool]:
        key_id = read_key_id(secret_text)
        assert key_id is not None  # noqa: S101  (we completed it ourselves)
        created = self._build_created(body, key_id, secret_text, caller)
        key = await self._append_key(None, created, caller)
        return key, await self._wait(key.sequence)

    def _build_created(self, body: GenerateKey, key_id: str, secret_text: str, caller: Caller) -> ApiKeyCreated:
        tenant = body.tenant or caller.tenant
        if tenant != caller.tenant and not allows(caller.permissions, "tenants:all"):
            raise not_your_tenant()
        permissions = tuple(body.permissions) if body.permissions is not None else self._default_permissions(caller)
        if refused := find_lacking(caller.permissions, permissions):
            raise lacking(refused)
        return ApiKeyCreated(
            key_id=key_id,
            name=body.name,
            tenant=tenant,
            owner=(body.owner if allows(caller.permissions, "keys:write") else None) or caller.principal,
            created_by=body.created_by or caller.principal,
            permissions=permissions,
            rate_limit=body.rate_limit,
            allowed_ips=tuple(body.allowed_ips),
            metadata=body.metadata,
            credits=body.credits,
            expires_at=self._find_expiry(body),
            secret=self._seal(secret_text),
        )

    def _default_permissions(self, caller: Caller) -> tuple[str, ...]:
        return ("read",) if allows(caller.permissions, "keys:write") else caller.permissions

    def _find_expiry(self, body: GenerateKey) -> str | None:
        days = body.expires_in_days or self._settings.key_expiry_days
        if body.expires_at:
            return format_time(body.expires_at)
        return format_time(self._clock.now() + timedelta(days=days)) if days else None

    async def update(self, command: KeyCommand, caller: Caller) -> KeyChanged:
        """Change what is given. Raises not_found, conflict when revoked, forbidden when granting what one lacks."""
        body = command.update
        assert body is not None  # noqa: S101  (the gateway gives it)
        if body.permissions and (refused := find_lacking(caller.permissions, body.permissions)):
            raise lacking(refused)

        def decide(key: Key | None, _: datetime) -> list[BaseModel]:
            if key and (refused := find_lacking(caller.permissions, key.permissions)):
                raise lacking(refused)
            return decide_update(key, body)

        return await self._change(command.key_id, caller, decide)

    async def revoke(self, command: KeyCommand, caller: Caller) -> KeyChanged:
        """Revoke for good; again when it is revoked already. Raises not_found."""
        reason = command.revoke.reason if command.revoke else ""

        def decide(key: Key | None, _: datetime) -> list[BaseModel]:
            return decide_revoke(key, reason)

        return await self._change(command.key_id, caller, decide)

    async def rotate(self, command: KeyCommand, caller: Caller) -> KeyIssued:
        """Give the key a new secret; the old one works until the grace ends. Raises not_found, conflict.

        Under an Idempotency-Key the secret is derived as in `generate`: a retry after a crash answers as its first try would
        have, and rotates nothing again.
        """
        grace_seconds = command.rotate.grace_seconds if command.rotate else 3600
        public_id = command.key_id.removeprefix("key_")
        secret_text = complete_key(self._settings.key_environment, public_id, self._choose_secret(caller)[12:])
        if is_token(command.key_id) and (known := fold(await self._store.load_made("key", command.key_id, caller))):
            return self._issue(known, secret_text, applied=True)

        def decide(key: Key | None, now: datetime) -> list[BaseModel]:
            if key and (refused := find_lacking(caller.permissions, key.permissions)):
                raise lacking(refused)  # whoever rotates a key holds it afterwards
            return decide_rotate(key, self._seal(secret_text), grace_seconds=grace_seconds, now=now)

        key, applied = await self._run(command.key_id, caller, decide)
        return self._issue(key, secret_text, applied=applied)

    async def _change(
        self, key_id: str, caller: Caller, decide: Callable[[Key | None, datetime], list[BaseModel]]
    ) -> KeyChanged:
        key, applied = await self._run(key_id, caller, decide)
        return KeyChanged(key=present_key(key, None, self._clock.now()), applied=applied)

    async def _run(
        self, key_id: str, caller: Caller, decide: Callable[[Key | None, datetime], list[BaseModel]]
    ) -> tuple[Key, bool]:
        async def attempt() -> Key:
            key = fold(await self._store.load("key", key_id)) if is_token(key_id) else None
            if key and not may_see(key, caller, "keys:write"):
                raise not_found("key")
            for data in decide(key, self._clock.now()):
                key = await self._append_key(key, data, caller)
            assert key is not None  # noqa: S101  (decide refuses an absent key)
            return key

        key = await retry_conflicts(attempt)
        return key, await self._wait(key.sequence)

    async def _append_key(self, key: Key | None, data: BaseModel, caller: Caller) -> Key:
        now = self._clock.now()
        key_id: str = data.key_id  # type: ignore[attr-defined]
        tenant = key.tenant if key else data.tenant  # type: ignore[attr-defined]
        append = self._store.build_append(
            "key", key_id, data, caller=caller, now=now, after=key.sequence if key else 0, tenant=tenant
        )
        return evolve(key, data, append.event.time, await self._store.append([append]))

    def _seal(self, secret_text: str) -> Secret:
        return Secret(verifier=Verifier(pepper_version=PEPPER_VERSION, mac=compute_mac(self._pepper, secret_text)))

    def _issue(self, key: Key, secret_text: str, *, applied: bool) -> KeyIssued:
        example = f"curl -H 'Authorization: Bearer {secret_text}' {self._settings.proxy_url}/demo/hello"
        return KeyIssued(
            key_id=key.key_id,
            full_key_secret=secret_text,
            usage_example=example,
            key=present_key(key, None, self._clock.now()),
            previous_valid_until=key.previous_valid_until,
            applied=applied,
        )

    async def _wait(self, sequence: int) -> bool:
        return await self._waiter.wait(DIRECTORY, sequence, bound_seconds=self._settings.applied_wait_seconds)


def may_see(key: Key, caller: Caller, needed: str) -> bool:
    """Say whether a key is the caller's to know of: of their tenant, and for `:own` rights of their own."""
    if key.tenant != caller.tenant and not allows(caller.permissions, "tenants:all"):
        return False
    return allows(caller.permissions, needed) or key.owner == caller.principal


def is_token(text: str) -> bool:
    """Say whether a text can be one token of a subject: what cannot, names no entity."""
    try:
        build_subject(text)
    except ValueError:
        return False
    return "." not in text
