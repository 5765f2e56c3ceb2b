"""openapi.json: a schema-driven fuzz finds no 5xx and no answer outside the schema; examples and offline docs."""

from unittest import SkipTest

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.e2e.eventually import eventually
from tests.fixtures.stack import Stack

_STREAMS = ["/api/audit/stream"]
_EXAMPLES = 8
_CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="session")
def document(stack: Stack) -> dict[str, object]:
    return stack.api.get("/openapi.json").json()


def list_operations(stack: Stack, document: dict[str, object]) -> list[APIOperation]:
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=stack.document["api"])
    kept = schema.exclude(path=_STREAMS).exclude(method="POST", path="/api/backups").exclude(path_regex="rebuild")
    return [result.ok() for result in kept.get_all_operations()]


def fuzz(operation: APIOperation, key: str, mode: GenerationMode) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    def call(case: schemathesis.Case) -> None:
        case.call_and_validate(headers={"X-API-Key": key}, checks=_CHECKS, timeout=20)

    call()


def test_no_input_breaks_the_api(stack: Stack, document: dict[str, object]) -> None:
    """By a key of its own, so that fuzzed commands cannot use up the administrator's."""
    key = stack.new_key(permissions=["admin"], rate_limit=1_000_000)["full_key_secret"]
    eventually(lambda: stack.client_for(key, door="api").get("/api/routes").is_success)
    failures = []
    for operation in list_operations(stack, document):
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                fuzz(operation, key, mode)
            except (Unsatisfiable, SkipTest):  # nothing to get wrong: the operation takes no input
                continue
            except Exception as error:  # noqa: BLE001  (every failure is listed, not only the first)
                failures.append(f"{operation.method.upper()} {operation.path}: {error}")
    assert not failures, "\n\n".join(failures)[:6000]


def test_every_operation_is_described(document: dict[str, dict[str, dict[str, dict[str, object]]]]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation.get("description"), f"{method} {path}"
            assert "4XX" in operation["responses"], f"{method} {path}"
