"""How streams become rules and alerts: the read table of rules, and one reader a stream that evaluates them."""

from functools import partial

from msgspec.structs import replace
from nats.aio.msg import Msg

from services.alerts.contract.events import CATALOGUE
from services.alerts.domain import RuleState, evolve
from services.alerts.evaluator import Evaluator, read_rule
from services.alerts.store import SQL
from services.gateway.contract.events import CATALOGUE as GATEWAY_CATALOGUE
from services.keys.contract.events import CATALOGUE as KEYS_CATALOGUE
from shared.clock import parse_time
from shared.db import Connection
from shared.envelope import EnvelopeError, Event, decode_event
from shared.projector import Delivery, OnPoison, Projection, Received, Repeats, decode_one, decode_records

RULES = "rules"
_API_TOKEN = "_api"  # noqa: S105  (a subject's token: what the gateway's api publishes on behalf of its callers)
_OWNED = frozenset(CATALOGUE.newest) | frozenset(GATEWAY_CATALOGUE.newest) | frozenset(KEYS_CATALOGUE.newest)
_RULE_EVENTS = frozenset({"alert_rule_created", "alert_rule_updated", "alert_rule_deleted"})


def decode_external(message: Msg) -> list[Event]:
    """Decode a message of EXTERNAL; who says it comes from the subject, which the credential bounds, not from the text.

    Raises EnvelopeError when it is no event, or of a type that only we may say.
    """
    event = decode_event(message.data)
    if event.type in _OWNED:
        raise EnvelopeError(f"the type {event.type} may only come from gatehouse itself")
    token = message.subject.split(".")[1]
    if token == _API_TOKEN:
        return [event]
    claimed = event.actor if event.actor != f"service:{token}" else None
    return [
        replace(
            event, source=f"/ext/{token}", origin=event.source, actor=f"service:{token}", tenant="default",
            onbehalfof=claimed,
        )
    ]  # fmt: skip


async def project_rules(connection: Connection, delivery: Delivery) -> None:
    """Write the table `rule`."""
    for item in delivery.received:
        if item.event.type in _RULE_EVENTS:
            await _project_rule(connection, item)


async def _project_rule(connection: Connection, item: Received) -> None:
    name = (item.event.subject or "").removeprefix("rule/")
    row = await connection.fetchrow(SQL["rule_find"], name)
    before = RuleState(read_rule(row) if row else None, 0)
    state = evolve(before, CATALOGUE.read(item.event), item.event.time, item.sequence)
    if state.owned is None:
        await connection.execute(SQL["rule_delete"], name)
        return
    owned = state.owned
    await connection.execute(
        SQL["rule_upsert"], name, owned.tenant, owned.every_tenant, owned.rule.model_dump(mode="json"),
        parse_time(owned.created_at), parse_time(owned.updated_at), item.sequence,
    )  # fmt: skip


def build_projections(evaluator: Evaluator) -> list[Projection]:
    """Return the projections of alerts, the rules first; each evaluating reader counts in its own transaction."""
    rules = Projection(
        name=RULES, find_stream="evt.>", subject_filter="evt.alerts.>", decode=decode_one, apply=project_rules,
        tables=("rule",),
    )  # fmt: skip
    traffic = Projection(
        name="evaluate_traffic", find_stream="TRAFFIC", subject_filter="traffic.>", decode=decode_records,
        apply=partial(evaluator.apply, projection="evaluate_traffic"), repeats=Repeats.BY_NUMBER,
        on_poison=OnPoison.PARK, batch=256, pace_seconds=0.1,
    )  # fmt: skip
    external = Projection(
        name="evaluate_external", find_stream="EXTERNAL", subject_filter="ext.>", decode=decode_external,
        apply=partial(evaluator.apply, projection="evaluate_external"), repeats=Repeats.BY_IDENTITY,
        on_poison=OnPoison.PARK,
    )  # fmt: skip
    domain = [
        Projection(
            name=f"evaluate_{service}", find_stream="evt.>", subject_filter=f"evt.{service}.>", decode=decode_one,
            apply=partial(evaluator.apply, projection=f"evaluate_{service}"),
        )
        for service in ("system", "audit", "backup")
    ]  # fmt: skip
    return [rules, traffic, external, *domain]
