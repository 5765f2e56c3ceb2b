"""Every event type of the house and those that we know from outside: what GET /api/audit/events lists."""

from functools import lru_cache
from typing import Any

from services.alerts.contract.events import EVENTS as ALERTS
from services.audit.contract.external import EVENTS as EXTERNAL
from services.audit.contract.external import find_category
from services.backup.contract.events import EVENTS as BACKUP
from services.gateway.contract.events import EVENTS as GATEWAY
from services.keys.contract.events import EVENTS as KEYS
from shared.envelope import EventType

HOUSE: tuple[EventType, ...] = (*GATEWAY, *KEYS, *ALERTS, *BACKUP)
ALL: tuple[EventType, ...] = (*HOUSE, *EXTERNAL)
HOUSE_NAMES = frozenset(entry.name for entry in HOUSE)
_CATEGORIES = {entry.name: entry.category for entry in HOUSE}


def find_house_category(event_type: str) -> str:
    """Return the category of any type."""
    return _CATEGORIES.get(event_type) or find_category(event_type)


@lru_cache(maxsize=1)
def describe_types() -> list[dict[str, Any]]:
    """Return the catalogue as http-examples.md gives it, with each type's JSON Schema."""
    return [
        {
            "event_type": entry.name,
            "severity": entry.severity,
            "category": entry.category,
            "description": entry.description,
            "schemaversion": entry.version,
            "schema": entry.model.model_json_schema(),
        }
        for entry in ALL
    ]
