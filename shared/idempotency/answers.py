"""Answers under an Idempotency-Key (draft-ietf-httpapi-idempotency-key-header), sealed for whoever shows both again."""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.bus import Caller, Operation
from shared.clock import Clock
from shared.db import Pool, load_statements
from shared.errors import AppError, Category, conflict, invalid
from shared.ids import new_uuid7
from shared.testing import failpoints

SQL = load_statements(__file__)
_KEPT_FOR = timedelta(hours=24)
_NONCE_BYTES = 12
Work = Callable[[Caller], Awaitable[bytes]]


class KeptAnswers:
    """The answers of one service; every replica shares them."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def answer_once(
        self, operation: Operation[Any, Any], request: bytes, caller: Caller, work: Work
    ) -> tuple[bytes, bool]:
        """Return (answer, whether it is a replay): what `work` returns, or what it returned to the same request before.

        `work` is handed the caller with the request's seed, the same at every retry within the day. What it raises is raised
        and not kept: the request may be made again. Raises idempotency_mismatch when the key was used with another body,
        in_progress while the first runs (one that ended without a word counts as running for two of the operation's
        deadlines, after which a living one is cancelled), conflict when the credential's secret has changed since.
        """
        answer_id, digest = caller.derive(operation.subject), _digest(request)
        now, bound_seconds = self._clock.now(), 2 * operation.timeout_seconds
        await self._pool.execute(SQL["answer_delete_old"], now - _KEPT_FOR)
        abandoned = now - timedelta(seconds=bound_seconds)
        seed = await self._pool.fetchval(SQL["answer_begin"], answer_id, new_uuid7(), digest, now, abandoned)
        if seed is None:
            return await self._replay(answer_id, digest, caller), True
        try:
            async with asyncio.timeout(bound_seconds):
                answer = await work(caller.model_copy(update={"seed": seed}))
        except BaseException:
            await self._pool.execute(SQL["answer_release"], answer_id, now)
            raise
        failpoints.hit("answers.before_keep")
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + _cipher(caller).encrypt(nonce, answer, answer_id.encode())
        if not await self._pool.fetch(SQL["answer_keep"], answer_id, sealed, now):
            return await self._replay(answer_id, digest, caller), True
        return answer, False

    async def _replay(self, answer_id: str, digest: bytes, caller: Caller) -> bytes:
        known = await self._pool.fetchrow(SQL["answer_find"], answer_id)
        if known is not None and known["request"] != digest:
            raise idempotency_mismatch()
        if known is None or known["answer"] is None:
            raise AppError("in_progress", Category.CONFLICT, "The first request under this Idempotency-Key still runs.")
        sealed = known["answer"]
        try:
            return _cipher(caller).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], answer_id.encode())
        except InvalidTag:
            raise conflict("The credential's secret has changed since; the first answer cannot be shown.") from None


def idempotency_mismatch() -> AppError:
    """Return the error of an Idempotency-Key that was used with another body."""
    return AppError("idempotency_mismatch", Category.INVALID, "This Idempotency-Key was used with another body.")


def _cipher(caller: Caller) -> AESGCM:
    return AESGCM(bytes.fromhex(caller.answer_key or ""))


def _digest(request: bytes) -> bytes:
    """Return what makes two requests of an operation the same: the body, whatever the order of its members."""
    try:
        body = orjson.dumps(orjson.loads(request), option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raise invalid("The body is nested too deeply.") from None
    return hashlib.sha256(body).digest()
