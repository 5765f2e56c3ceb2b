"""From every exception of the api to application/problem+json; never a trace, never HTML."""

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from services.gateway.problems import CONTENT_TYPE, Problem, build_problem, convert_error
from shared.errors import AppError, Category

log = structlog.get_logger(__name__)
_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 400: "malformed"}


class ProblemError(Exception):
    """A problem that was found at the edge."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def respond(request: Request, problem: Problem) -> Response:
    """Return the problem as a response."""
    body = problem.encode(request.state.request_id)
    return Response(body, problem.status, headers=dict(problem.headers), media_type=CONTENT_TYPE)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101  (registered for it)
    return respond(request, error.problem)


async def _on_app_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)  # noqa: S101  (registered for it)
    if error.category is Category.INTERNAL:
        log.error("internal error", detail=error.detail)
    return respond(request, convert_error(error))


async def _on_invalid(request: Request, error: Exception) -> Response:
    """Malformed JSON is 400, anything that breaks the schema 422 with the fields named, never their values."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  (registered for it)
    problems = error.errors()
    if any(problem["type"] in {"json_invalid", "bytes_type"} for problem in problems):
        return respond(request, build_problem("malformed", "The body is no JSON."))
    fields = {}
    for problem in problems:
        place = [str(part) for part in problem["loc"] if part not in {"body", "query", "path", "header"}]
        fields[".".join(place) or "body"] = problem["msg"].removeprefix("Value error, ")
    name, message = next(iter(fields.items()))
    return respond(request, convert_error(AppError("invalid", Category.INVALID, f"{name}: {message}", fields=fields)))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  (registered for it)
    code = _BY_STATUS.get(error.status_code, "malformed")
    headers = tuple((error.headers or {}).items())
    return respond(request, build_problem(code, str(error.detail), *headers))


async def _on_unforeseen(request: Request, error: Exception) -> Response:
    log.error("unforeseen error", error=repr(error), exc_info=error)
    return respond(request, build_problem("internal", "Something went wrong here."))


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(AppError, _on_app_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_unforeseen)
