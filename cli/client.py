"""The command line's way to the HTTP API: the context's address and key, and every refusal as one sentence."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cli.output import EXIT_CONFLICT, EXIT_FAILED, EXIT_REFUSED, EXIT_UNREACHABLE, CommandError
from cli.stack.context import read_contexts

_EXIT_BY_STATUS = {
    401: EXIT_REFUSED,
    403: EXIT_REFUSED,
    404: EXIT_FAILED,
    409: EXIT_CONFLICT,
    429: EXIT_REFUSED,
    503: EXIT_UNREACHABLE,
}


def default_home() -> Path:
    """Return GATEHOUSE_HOME, or the folder .gatehouse here."""
    return Path(os.environ.get("GATEHOUSE_HOME", ".gatehouse"))


def config_file() -> Path:
    """Return the contexts file: $GATEHOUSE_CONFIG, else this folder's stack's, else the user's own."""
    if given := os.environ.get("GATEHOUSE_CONFIG"):
        return Path(given)
    local = default_home() / "context.toml"
    return local if local.exists() else Path("~/.config/gatehouse/contexts.toml").expanduser()


class ApiClient:
    """Asks the API of the current context."""

    def __init__(self) -> None:
        import httpx

        try:
            contexts = read_contexts(config_file())
        except ValueError as error:
            raise CommandError(f"{config_file()} is no valid contexts file: {error}.") from error
        name = contexts.get("current")
        context = contexts.get("contexts", {}).get(name)
        if context is None:
            raise CommandError(
                "There is no context yet: start a stack with `gatehouse up`, or add one with `gatehouse context add`."
            )
        headers = {"X-API-Key": context["api_key"]}
        self.api = str(context["api"])
        self._http = httpx.Client(base_url=self.api, headers=headers, timeout=60, trust_env=False)

    def ask(self, method: str, path: str, *, body: Any = None, query: dict[str, Any] | None = None) -> Any:
        """Return the decoded answer. Raises CommandError with the API's own sentence."""
        import httpx

        given = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            answer = self._http.request(method, path, json=body, params=given)
        except httpx.HTTPError as error:
            raise CommandError(f"{self.api} cannot be reached: {error}.", EXIT_UNREACHABLE) from error
        if not answer.is_success:
            raise _explain(answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def list(self, path: str, *, limit: int, query: dict[str, Any] | None = None) -> list[Any]:
        """Return up to `limit` items, page by page."""
        items: list[Any] = []
        cursor = None
        while len(items) < limit:
            asked = {**(query or {}), "limit": min(200, limit - len(items)), "cursor": cursor}
            page = self.ask("GET", path, query=asked)
            items += page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                break
        return items

    def stream(self, path: str, *, query: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the data of server-sent events until interrupted."""
        import httpx

        given = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            with self._http.stream("GET", path, params=given, timeout=httpx.Timeout(60, read=None)) as answer:
                if not answer.is_success:
                    raise _explain(answer.status_code, answer.read().decode())
                for line in answer.iter_lines():
                    if line.startswith("data: "):
                        yield json.loads(line.removeprefix("data: "))
        except httpx.HTTPError as error:
            raise CommandError(f"The stream from {self.api} ended: {error}.", EXIT_UNREACHABLE) from error


def _explain(status: int, text: str) -> CommandError:
    try:
        problem = json.loads(text)
        sentence = str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        sentence = f"The API answered {status}."
    return CommandError(sentence, _EXIT_BY_STATUS.get(status, EXIT_FAILED))
