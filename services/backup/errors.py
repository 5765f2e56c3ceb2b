"""Errors of backup: what callers may read, and what was found damaged."""

from shared.errors import AppError, Category, conflict


class DamagedError(Exception):
    """Something stored is not what was written; `object_name` names it, the message says in words how."""

    def __init__(self, reason: str, object_name: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.object_name = object_name


class ReadError(Exception):
    """A stream could not be read without a hole; nothing of what was read may be kept."""


class RestoreError(Exception):
    """A restore went wrong; the message is one sentence for whoever asked for it."""


def promotion_missing() -> AppError:
    """Return the error of a restore over the live stream."""
    return conflict(
        "A restore of the live stream is not part of this version: restore into a scratch stream with `into`, or plan"
        " with `dry_run`."
    )


def busy(what: str) -> AppError:
    """Return the error of asking for a second one while the first runs."""
    return AppError("in_progress", Category.CONFLICT, f"{what} runs already; wait for it, or cancel it.")


def not_covered(sentence: str, field: str) -> AppError:
    """Return the error of a moment that no recovery point covers."""
    return AppError("invalid", Category.INVALID, sentence, fields={field: sentence})
