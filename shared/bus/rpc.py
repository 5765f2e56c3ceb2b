"""Requests between services: `rpc.<service>.<operation>`, core NATS request-reply, JSON bodies.

The deadline, the trace and the caller travel in headers; an error comes back as {code, category, detail, fields}. A
reply is at most 512 KiB: a larger one would only be a timeout for the caller.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import orjson
import structlog
from faststream import AckPolicy
from faststream.nats import NatsBroker, NatsMessage, NatsResponse
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.db import is_transient
from shared.errors import AppError, Category, unavailable
from shared.ids import encode_base62, random_base62

MAX_REPLY_BYTES = 512 * 1024
_PRINCIPAL_HEADER = "Gatehouse-Caller"
_DEADLINE_HEADER = "Gatehouse-Deadline-Ms"
_ERROR_HEADER = "Gatehouse-Error"
_REPLAYED_HEADER = "Gatehouse-Replayed"
_WORKERS = 16
_ID_LENGTH = 12

Request = TypeVar("Request", bound=BaseModel)
Reply = TypeVar("Reply", bound=BaseModel)
log = structlog.get_logger(__name__)


class Caller(BaseModel):
    """On whose behalf a request is made; only the gateway may say so (it alone may publish `rpc.>`).

    `idempotency_key` as it was given with a POST, else None; `answer_key` is then 32 bytes as hex that only whoever holds
    the credential's secret and the Idempotency-Key can give. `seed` is the owner's: of this request and its retries alone.
    """

    model_config = ConfigDict(frozen=True)

    principal: str = "anonymous"
    tenant: str = "default"
    permissions: tuple[str, ...] = ()
    request_id: str | None = None
    ip_address: str | None = None
    traceparent: str | None = None
    idempotency_key: str | None = None
    answer_key: str | None = None
    credential_id: str | None = None
    seed: str | None = None

    @property
    def cause(self) -> str | None:
        """What an event says that a request under an Idempotency-Key caused (`causationid`), the same at every retry."""
        return f"idem_{self.derive('cause')}" if self.seed else None

    def new_id(self, prefix: str) -> str:
        """Return `<prefix><12 base62>` for a new entity: at random, or under an Idempotency-Key the same at every retry."""
        if not self.seed:
            return prefix + random_base62(_ID_LENGTH)
        return prefix + encode_base62(int(self.derive(prefix), 16), length=_ID_LENGTH)[-_ID_LENGTH:]

    def derive(self, purpose: str) -> str:
        """Return 32 hex digits for a purpose, the same whenever this credential shows this Idempotency-Key (and seed)."""
        said = "\0".join((purpose, self.credential_id or "", self.idempotency_key or "", self.seed or ""))
        return hashlib.sha256(said.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Operation(Generic[Request, Reply]):
    """One thing that a service can be asked to do: where, with what, for what.

    One that `creates` something is done once under an Idempotency-Key.
    """

    subject: str
    request: type[Request]
    reply: type[Reply]
    timeout_seconds: float = 5.0
    creates: bool = False


class AnswerKeeper(Protocol):
    """Keeps the first answers to requests under an Idempotency-Key."""

    async def answer_once(
        self, operation: Operation[Any, Any], request: bytes, caller: Caller, work: Callable[[Caller], Awaitable[bytes]]
    ) -> tuple[bytes, bool]:
        """Return (answer, whether it is a replay); `work` is handed the caller with a seed."""
        ...


class RpcClient:
    """Asks other services."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def call(
        self,
        operation: Operation[Request, Reply],
        request: Request,
        caller: Caller,
        *,
        on_replay: Callable[[], None] | None = None,
    ) -> Reply:
        """Return the owner's reply; `on_replay` is called when it is the first answer to the same request, again.

        Raises the owner's AppError as it was raised there, or AppError unavailable when nobody answers in time.
        """
        deadline = int((time.time() + operation.timeout_seconds) * 1000)
        headers = {_PRINCIPAL_HEADER: caller.model_dump_json(exclude_none=True), _DEADLINE_HEADER: str(deadline)}
        if caller.traceparent:
            headers["traceparent"] = caller.traceparent
        payload = request.model_dump_json(exclude_unset=True).encode()
        service = operation.subject.split(".")[1]
        try:
            message = await self._client.request(
                operation.subject, payload, timeout=operation.timeout_seconds, headers=headers
            )
        except (NoRespondersError, NatsError, TimeoutError) as error:
            raise unavailable(f"the {service} service") from error
        if message.headers and _ERROR_HEADER in message.headers:
            raise _decode_error(message.data)
        if on_replay and message.headers and _REPLAYED_HEADER in message.headers:
            on_replay()
        return operation.reply.model_validate_json(message.data)


Handler = Callable[[Any, Caller], Awaitable[BaseModel]]


def serve_operation(
    broker: NatsBroker, operation: Operation[Any, Any], handler: Handler, keeper: AnswerKeeper | None = None
) -> None:
    """Subscribe the handler to an operation, several at once, one replica a request.

    The edge decodes, calls one function, encodes; a store that is away is answered as unavailable, an unforeseen exception
    is logged and answered as internal. With a keeper, an operation that creates is done once under an Idempotency-Key.
    """

    @broker.subscriber(
        operation.subject,
        queue=operation.subject.split(".")[1],
        max_workers=_WORKERS,
        ack_policy=AckPolicy.MANUAL,
        title=operation.subject,
        description=(handler.__doc__ or "").strip(),
    )
    async def answer(message: NatsMessage) -> NatsResponse | None:
        headers = message.headers or {}
        if int(headers.get(_DEADLINE_HEADER, 0) or 0) < time.time() * 1000:
            return None
        if message.raw_message.reply.startswith("$JS."):
            return None  # a stream's message that a consumer was pointed here with is nobody's request
        caller = Caller.model_validate_json(headers.get(_PRINCIPAL_HEADER, "{}"))
        return await _answer(message.body or b"{}", caller, operation, handler, keeper)


async def _answer(
    body: bytes, caller: Caller, operation: Operation[Any, Any], handler: Handler, keeper: AnswerKeeper | None
) -> NatsResponse:
    async def work(caller: Caller) -> bytes:
        reply = (await handler(request, caller)).model_dump_json().encode()
        if len(reply) > MAX_REPLY_BYTES:
            raise AppError("too_large", Category.INVALID, "The answer is too large for one page; ask for fewer items.")
        return reply

    try:
        request = operation.request.model_validate_json(body)
        if keeper and operation.creates and caller.idempotency_key:
            reply, is_replay = await keeper.answer_once(operation, body, caller, work)
            return NatsResponse(reply, headers={_REPLAYED_HEADER: "true"} if is_replay else None)
        return NatsResponse(await work(caller))
    except ValidationError as error:
        return _error_response(describe_validation(error))
    except AppError as error:
        return _error_response(error)
    except Exception as error:  # an edge that must not die: whoever asked waits for an answer
        if is_transient(error):
            log.warning("operation met a store that is away", operation=operation.subject, reason=repr(error))
            return _error_response(unavailable(f"the store of {operation.subject.split('.')[1]}"))
        log.exception("operation failed", operation=operation.subject)
        return _error_response(
            AppError("internal", Category.INTERNAL, "Something went wrong here.", detail=repr(error))
        )


def describe_validation(error: ValidationError) -> AppError:
    """Return the error that names each wrong field, and never the value."""
    fields = {
        ".".join(str(part) for part in problem["loc"]) or "body": problem["msg"].removeprefix("Value error, ")
        for problem in error.errors()
    }
    name, message = next(iter(fields.items()))
    return AppError("invalid", Category.INVALID, f"{name}: {message}", fields=fields)


def _error_response(error: AppError) -> NatsResponse:
    document = {"code": error.code, "category": error.category, "detail": error.public, "fields": error.fields}
    return NatsResponse(orjson.dumps(document), headers={_ERROR_HEADER: error.code})


def _decode_error(payload: bytes) -> AppError:
    document = orjson.loads(payload)
    category = Category(document["category"])
    return AppError(document["code"], category, document["detail"], fields=document["fields"])
