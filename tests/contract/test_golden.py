"""Golden events: one file a type and version, which must parse for ever; a missing one is written on the first run."""

import json
import os
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from services.audit.contract.catalogue import ALL, HOUSE
from shared.envelope import Catalogue, Event, EventType, decode_event

GOLDEN = Path(__file__).parent / "golden"
CATALOGUE = Catalogue(ALL)


def example(annotation: Any) -> Any:
    """A plain value that a field of this type takes."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return build_data(annotation)
    origin = get_origin(annotation) or annotation
    for kind, value in ((bool, True), (int, 7), (float, 1.5), (str, "text"), (dict, {}), (list, []), (tuple, [])):
        if origin is kind:
            return value
    arguments = get_args(annotation)
    if origin is Literal or not arguments:
        return next(iter(arguments), None)
    return example(arguments[0])


def build_data(model: type[BaseModel]) -> dict[str, Any]:
    return {
        name: example(field.annotation)
        for name, field in model.model_fields.items()
        if field.default is PydanticUndefined and field.default_factory is None
    }


def path_of(entry: EventType) -> Path:
    return GOLDEN / f"{entry.name}.{entry.version}.json"


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: f"{entry.name}.{entry.version}")
def test_a_golden_event_parses_for_ever(entry: EventType) -> None:
    path = path_of(entry)
    if not path.exists() and not os.environ.get("CI"):
        event = Event(
            id="0197c2f4-7d2e-7000-8000-000000000000", source="/golden", type=entry.name, schemaversion=entry.version,
            time="2026-01-01T00:00:00.000Z", severity=entry.severity, actor="key:key_8fK2mQz7LpXa", tenant="default",
            data=build_data(entry.model),
        )  # fmt: skip
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(event.to_json(), indent=1) + "\n")
    assert isinstance(CATALOGUE.read(decode_event(path.read_bytes())), CATALOGUE.newest[entry.name].model)


def test_no_golden_event_is_orphaned() -> None:
    assert {path.name for path in GOLDEN.glob("*.json")} == {path_of(entry).name for entry in ALL}


def test_names_are_past_tense_snake_case_and_unique() -> None:
    names = [(entry.name, entry.version) for entry in HOUSE]
    assert len(names) == len(set(names))
    assert all(name == name.lower() and " " not in name for name, _ in names)
