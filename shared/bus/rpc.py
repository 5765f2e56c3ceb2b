"""Requests between services: `rpc.<service>.<operation>`, core NATS request-reply, JSON bodies.

The deadline, the trace and the caller travel in headers; an error comes back as {code, category, detail, fields}. A
reply is at most 512 KiB: a larger one would only be a timeout for the caller.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson
import structlog
from faststream import AckPolicy
from faststream.nats import NatsBroker, NatsMessage, NatsResponse
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import AppError, Category, unavailable

MAX_REPLY_BYTES = 512 * 1024
_PRINCIPAL_HEADER = "Gatehouse-Caller"
_DEADLINE_HEADER = "Gatehouse-Deadline-Ms"
_ERROR_HEADER = "Gatehouse-Error"
_WORKERS = 16

Request = TypeVar("Request", bound=BaseModel)
Reply = TypeVar("Reply", bound=BaseModel)
log = structlog.get_logger(__name__)


class Caller(BaseModel):
    """On whose behalf a request is made; only the gateway may say so (it alone may publish `rpc.>`)."""

    model_config = ConfigDict(frozen=True)

    principal: str = "anonymous"
    tenant: str = "default"
    permissions: tuple[str, ...] = ()
    request_id: str | None = None
    ip_address: str | None = None
    traceparent: str | None = None
    idempotency_key: str | None = None
    credential_id: str | None = None


@dataclass(frozen=True, slots=True)
class Operation(Generic[Request, Reply]):
    """One thing that a service can be asked to do: where, with what, for what."""

    subject: str
    request: type[Request]
    reply: type[Reply]
    timeout_seconds: float = 5.0


class RpcClient:
    """Asks other services."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def call(self, operation: Operation[Request, Reply], request: Request, caller: Caller) -> Reply:
        """Return the owner's reply.

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
        return operation.reply.model_validate_json(message.data)


Handler = Callable[[Any, Caller], Awaitable[BaseModel]]


def serve_operation(broker: NatsBroker, operation: Operation[Any, Any], handler: Handler) -> None:
    """Subscribe the handler to an operation, several at once, one replica a request.

    The edge decodes, calls one function, encodes; an unforeseen exception is logged and answered as internal.
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
        return await _answer(message.body, headers.get(_PRINCIPAL_HEADER, "{}"), operation, handler)


async def _answer(body: bytes, caller_text: str, operation: Operation[Any, Any], handler: Handler) -> NatsResponse:
    try:
        request = operation.request.model_validate_json(body or b"{}")
        reply = (await handler(request, Caller.model_validate_json(caller_text))).model_dump_json().encode()
        if len(reply) > MAX_REPLY_BYTES:
            raise AppError("too_large", Category.INVALID, "The answer is too large for one page; ask for fewer items.")
    except ValidationError as error:
        return _error_response(describe_validation(error))
    except AppError as error:
        return _error_response(error)
    except Exception as error:  # an edge that must not die: whoever asked waits for an answer
        log.exception("operation failed", operation=operation.subject)
        return _error_response(
            AppError("internal", Category.INTERNAL, "Something went wrong here.", detail=repr(error))
        )
    return NatsResponse(reply)


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
