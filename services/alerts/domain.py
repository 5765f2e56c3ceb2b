"""What a rule is and may become: pure. Every change is an event; `decide_*` returns what a command leads to."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import BaseModel, ValidationError

from services.alerts.contract.events import AlertRuleCreated, AlertRuleDeleted, AlertRuleUpdated
from services.alerts.contract.rules import Rule, UpdateRule
from services.alerts.errors import name_taken, not_evaluated_yet
from services.alerts.filters import compile_filter
from shared.bus.rpc import describe_validation
from shared.errors import not_found

Dated: TypeAlias = tuple[BaseModel, str, int]
EVALUATED = frozenset({"error_rate", "auth_failures", "frequency"})


@dataclass(frozen=True, slots=True)
class OwnedRule:
    """A rule with whose it is, and which tenants' events it sees; times are RFC 3339."""

    rule: Rule
    tenant: str
    every_tenant: bool
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class RuleState:
    """A rule, None when it is deleted or never was, and the sequence of its last event."""

    owned: OwnedRule | None
    sequence: int


def evolve(state: RuleState, data: BaseModel, time: str, sequence: int) -> RuleState:
    """Return the state after one more event. Raises ValueError when the event cannot follow."""
    if isinstance(data, AlertRuleCreated):
        rule = Rule.model_validate(data.rule)
        return RuleState(OwnedRule(rule, data.tenant, data.every_tenant, time, time), sequence)
    if isinstance(data, AlertRuleDeleted):
        return RuleState(None, sequence)
    if isinstance(data, AlertRuleUpdated) and state.owned:
        before = state.owned
        rule = Rule.model_validate(data.rule)
        return RuleState(OwnedRule(rule, before.tenant, before.every_tenant, before.created_at, time), sequence)
    raise ValueError(f"{type(data).__name__} cannot follow in the life of a rule")


def fold(events: Iterable[Dated]) -> RuleState:
    """Return the rule that its events make; sequence 0 when there was never one."""
    state = RuleState(None, 0)
    for data, time, sequence in events:
        state = evolve(state, data, time, sequence)
    return state


def complete_rule(rule: Rule) -> Rule:
    """Return the rule with what its type implies. Raises invalid for a type or a filter that cannot be evaluated."""
    if rule.type not in EVALUATED:
        raise not_evaluated_yet(rule.type)
    if rule.filter:
        compile_filter(rule.filter)
    if rule.type == "auth_failures" and "group_by" not in rule.model_fields_set:
        return rule.model_copy(update={"group_by": ["ip_address"]})
    return rule


def decide_create(state: RuleState, rule: Rule, *, tenant: str, every_tenant: bool) -> BaseModel:
    """Return the event of a new rule. Raises conflict when the name is taken, invalid when it cannot be evaluated."""
    completed = complete_rule(rule)
    if state.owned:
        raise name_taken()
    body = completed.model_dump(mode="json")
    return AlertRuleCreated(name=rule.name, tenant=tenant, every_tenant=every_tenant, rule=body)


def decide_update(state: RuleState, update: UpdateRule) -> BaseModel | None:
    """Return the event of a change, None when nothing changes. Raises not_found, invalid."""
    if state.owned is None:
        raise not_found("alert rule")
    try:
        rule = complete_rule(Rule.model_validate(update.merge_into(state.owned.rule)))
    except ValidationError as error:
        raise describe_validation(error) from error
    if rule == state.owned.rule:
        return None
    return AlertRuleUpdated(name=rule.name, rule=rule.model_dump(mode="json"))
