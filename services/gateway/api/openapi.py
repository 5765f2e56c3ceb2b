"""What openapi.json says besides what FastAPI finds out: credentials, and the one form of every error."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from services.gateway.api.routing import LONGEST_IDEMPOTENCY_KEY

_PROBLEM = {
    "title": "Problem",
    "description": "RFC 9457; `code` is the stable word, `errors` names the fields of a 422.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "violated-policies": {"type": "array", "items": {"type": "string"}},
    },
}
_ANSWER = {
    "description": "Refused, with the reason.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key, credential and body within 24 hours give the first answer again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_IDEMPOTENCY_KEY},
}
_MAY_REPEAT = frozenset({"/api/alerts/configs/{name}/test", "/api/alerts/deliveries/{delivery_id}/replay"})
_OPEN = frozenset({"/health", "/ready"})


def describe(app: FastAPI) -> None:
    """Replace the application's schema by the completed one."""

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(get_openapi(title=app.title, version=app.version, routes=app.routes))
        return app.openapi_schema

    app.openapi = build  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = _PROBLEM
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method == "post" and operation["responses"].keys() & {"201", "202"} and path not in _MAY_REPEAT:
                operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
            operation["responses"].pop("422", None)
            operation["responses"]["4XX"] = _ANSWER
            operation["responses"]["503"] = operation["responses"].get("503", _ANSWER)
            if path not in _OPEN:
                operation["security"] = [{"bearer": []}, {"key": []}]
    return document
