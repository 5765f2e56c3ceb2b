"""How streams become the log: three readers, one sequencer; what cannot be taken in goes to quarantine."""

import base64

import orjson
from nats.aio.msg import Msg

from services.audit.domain import build_row, read_external
from services.audit.store import SQL, append_entries
from shared.db import Connection
from shared.envelope import Event, decode_event
from shared.projector import Delivery, OnPoison, Projection, Repeats, decode_records


def decode_domain_event(message: Msg) -> list[Event]:
    """Decode a message of the event stream; claims are bookkeeping and no entry."""
    event = decode_event(message.data)
    return [] if event.type in ("claimed", "released") else [event]


async def append_to_log(connection: Connection, delivery: Delivery) -> None:
    """Add the events to the log; a record that names the boots it replaces closes them."""
    for item in delivery.received:
        for replaced in (item.event.replaces or "").split():
            await connection.execute(SQL["closed_source_insert"], replaced, item.event.source)
    await append_entries(connection, [build_row(item) for item in delivery.received])


def decode_letter(message: Msg) -> list[Event]:
    """Decode a dead letter, as an event so that the projector can carry it."""
    letter = orjson.loads(message.data)
    return [Event(id=str(message.metadata.sequence.stream), source="/dlq", type="parked", time="", data=letter)]


async def take_into_quarantine(connection: Connection, delivery: Delivery) -> None:
    """Write the table `quarantine`."""
    for item in delivery.received:
        letter = item.event.data
        await connection.execute(
            SQL["quarantine_insert"], item.sequence, item.stored_at, letter["stream"], letter["sequence"],
            letter["subject"], letter["reason"], letter["size"], base64.b64decode(letter["payload"]),
        )  # fmt: skip


def build_projections(external_tenant: str) -> list[Projection]:
    """Return the readers of audit."""

    def decode_external(message: Msg) -> list[Event]:
        return [read_external(message.subject, message.data, tenant=external_tenant)]

    return [
        Projection(
            name="events", find_stream="evt.>", subject_filter="evt.>", decode=decode_domain_event, apply=append_to_log,
        ),
        Projection(
            name="traffic", find_stream="TRAFFIC", subject_filter="traffic.>", decode=decode_records,
            apply=append_to_log, repeats=Repeats.BY_NUMBER, on_poison=OnPoison.PARK, batch=256, pace_seconds=0.1,
        ),
        Projection(
            name="external", find_stream="EXTERNAL", subject_filter="ext.>", decode=decode_external,
            apply=append_to_log, repeats=Repeats.BY_IDENTITY, on_poison=OnPoison.PARK,
        ),
        Projection(
            name="quarantine", find_stream="DLQ", subject_filter="dlq.audit", decode=decode_letter,
            apply=take_into_quarantine, on_poison=OnPoison.STOP,
        ),
    ]  # fmt: skip
