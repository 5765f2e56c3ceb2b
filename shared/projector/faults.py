"""What a consumer does about an error is decided here and nowhere else: retry, park, or step down."""

from enum import Enum

import asyncpg
import nats.errors
import nats.js.errors

from shared.db import is_transient
from shared.envelope import EnvelopeError

_DATA_ERRORS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.exceptions.ProgramLimitExceededError,
)


class Fault(Enum):
    """What an error means for the reader that met it."""

    RETRY = "something is away; the same work may succeed later"
    POISON = "this message can never be applied"
    FENCED = "another writer has taken over"


class FencedError(RuntimeError):
    """The position was not where this writer believed, or its token is old: somebody else writes now."""


class PoisonError(ValueError):
    """An event that no retry will make applicable; the message is the reason for the dead letter."""


def classify(error: BaseException) -> Fault:
    """Return what to do about an error met while decoding, applying or committing."""
    if isinstance(error, FencedError):
        return Fault.FENCED
    if isinstance(error, (PoisonError, EnvelopeError)):
        return Fault.POISON
    if is_transient(error) or isinstance(error, (nats.errors.Error, nats.js.errors.Error)):
        return Fault.RETRY
    if isinstance(error, asyncpg.PostgresError) and not isinstance(error, _DATA_ERRORS):
        return Fault.RETRY  # a failover, a missing right, a table between two migrations: nothing that the event did
    return Fault.POISON
