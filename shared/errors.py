"""The one error class of the house: a code, a category, a public sentence, and a detail for the log only.

Categories travel between services; only the gateway turns them into HTTP statuses.
"""

from enum import StrEnum


class Category(StrEnum):
    """What kind of trouble an error is, whoever meets it."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    EXHAUSTED = "exhausted"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


class AppError(Exception):
    """An error that a caller may read.

    `code` is the stable word of http-api's table, `public` one sentence that names no secret, `detail` for the log,
    `fields` what was wrong field by field: {field: message}.
    """

    def __init__(
        self,
        code: str,
        category: Category,
        public: str,
        *,
        detail: str = "",
        fields: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {public}{f' ({detail})' if detail else ''}")
        self.code = code
        self.category = category
        self.public = public
        self.detail = detail
        self.fields = fields or {}


def invalid(public: str, *, field: str | None = None, code: str = "invalid") -> AppError:
    """Return the error of a request that says what cannot be."""
    return AppError(code, Category.INVALID, public, fields={field: public} if field else None)


def not_found(what: str) -> AppError:
    """Return the error of something absent, or not yours to know of."""
    return AppError("not_found", Category.NOT_FOUND, f"There is no such {what}.")


def conflict(public: str) -> AppError:
    """Return the error of a state that does not allow the request."""
    return AppError("conflict", Category.CONFLICT, public)


def unavailable(part: str) -> AppError:
    """Return the error of a part that does not answer; `part` names it."""
    sentence = f"{part[:1].upper()}{part[1:]} does not answer; try again shortly."
    return AppError("unavailable", Category.UNAVAILABLE, sentence)
