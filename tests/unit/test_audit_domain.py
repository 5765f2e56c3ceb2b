"""How events become entries."""

from datetime import UTC, datetime

import pytest

from services.audit.domain import build_row
from shared.envelope import EnvelopeError, Event
from shared.projector import Received

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DATA = {"method": "GET", "status_code": 404, "duration_ms": 2, "bytes_in": 0, "user_agent": None, "reason": "gone"}


def receive(data: dict[str, object], **changes: str) -> Received:
    fields = {"id": "1", "source": "/s", "type": "request_completed", "time": "", "sourceseq": "1"} | changes
    return Received(Event(**fields, data=data), "traffic.a", 1, NOW)


def test_a_record_fills_its_columns_and_the_rest_are_details() -> None:
    row = build_row(receive(DATA))
    assert (row.method, row.status_code, row.duration_ms, row.bytes_in, row.user_agent) == ("GET", 404, 2.0, 0, None)
    assert (row.action, row.status, row.details, row.timestamp) == ("read", "failure", {"reason": "gone"}, NOW)


@pytest.mark.parametrize(
    ("name", "value"), [("bytes_in", -1), ("bytes_in", True), ("bytes_in", 2**62), ("path", 5), ("duration_ms", "2")]
)
def test_a_member_of_another_kind_than_its_column_is_absent_alone(name: str, value: object) -> None:
    row = build_row(receive(DATA | {name: value}))
    assert getattr(row, name) is None
    assert (row.method, row.status_code) == ("GET", 404)


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(EnvelopeError, match="time"):
        build_row(receive(DATA, time="yesterday"))
