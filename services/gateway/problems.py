"""The one place that knows error statuses (RFC 9457): every error of the gateway becomes application/problem+json here."""

from dataclasses import dataclass, field

import orjson

from shared.errors import AppError, Category

CONTENT_TYPE = "application/problem+json"
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
_TITLES = {
    400: "Bad request", 401: "Unauthenticated", 403: "Forbidden", 404: "Not found", 405: "Method not allowed",
    408: "Request timeout", 409: "Conflict", 411: "Length required", 413: "Content too large", 414: "URI too long",
    415: "Unsupported media type", 422: "Unprocessable request", 429: "Too many requests",
    431: "Request header fields too large", 500: "Internal error", 502: "Bad gateway", 503: "Service unavailable",
    504: "Gateway timeout",
}  # fmt: skip
_STATUSES = {
    "malformed": 400, "two_credentials": 400, "unauthenticated": 401, "forbidden": 403, "ip_not_allowed": 403,
    "policy_denied": 403, "not_found": 404, "no_route": 404, "method_not_allowed": 405, "request_timeout": 408,
    "conflict": 409, "in_progress": 409, "length_required": 411, "too_large": 413, "uri_too_long": 414,
    "unsupported_media_type": 415, "headers_too_large": 431, "invalid": 422, "idempotency_mismatch": 422,
    "rate_limited": 429, "credits_exhausted": 429, "account_locked": 429, "internal": 500, "upstream_failed": 502,
    "upstream_timeout": 504, "unavailable": 503, "view_stale": 503, "recorder_full": 503, "overloaded": 503,
    "restoring": 503,
}  # fmt: skip
_BY_CATEGORY = {
    Category.INVALID: 422, Category.UNAUTHENTICATED: 401, Category.FORBIDDEN: 403, Category.NOT_FOUND: 404,
    Category.CONFLICT: 409, Category.EXHAUSTED: 429, Category.UNAVAILABLE: 503, Category.INTERNAL: 500,
}  # fmt: skip
_RETRY_AFTER_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it is sent: status, headers and body."""

    status: int
    code: str
    detail: str
    headers: tuple[tuple[str, str], ...] = ()
    fields: dict[str, str] = field(default_factory=dict)
    violated_policies: tuple[str, ...] = ()

    def encode(self, request_id: str) -> bytes:
        """Return the body."""
        body: dict[str, object] = {
            "type": QUOTA_EXCEEDED if self.violated_policies else "about:blank",
            "title": _TITLES.get(self.status, "Error"),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        }
        if self.status == 422:  # noqa: PLR2004  (the status is the contract)
            body["errors"] = [{"field": name, "message": message} for name, message in self.fields.items()]
        if self.violated_policies:
            body["violated-policies"] = list(self.violated_policies)
        return orjson.dumps(body)


def build_problem(code: str, detail: str, *headers: tuple[str, str], violated: tuple[str, ...] = ()) -> Problem:
    """Return the problem of a code that this process found itself."""
    return Problem(
        _STATUSES[code], code, detail, _complete_headers(_STATUSES[code], headers), violated_policies=violated
    )


def convert_error(error: AppError) -> Problem:
    """Return the problem of an owner's error: by its code, else by its category."""
    status = _STATUSES.get(error.code, _BY_CATEGORY[error.category])
    return Problem(status, error.code, error.public, _complete_headers(status, ()), error.fields)


def _complete_headers(status: int, headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    names = {name.lower() for name, _ in headers}
    if status == 401 and "www-authenticate" not in names:  # noqa: PLR2004
        headers += (("www-authenticate", 'Bearer realm="gatehouse"'),)
    if status in (429, 503) and "retry-after" not in names:
        headers += (("retry-after", str(_RETRY_AFTER_SECONDS)),)
    return headers
