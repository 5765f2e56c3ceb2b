"""What can be done to rules: load by fold, decide, append with the expected sequence, wait until it can be read."""

from services.alerts.contract import requests
from services.alerts.contract.events import AlertRuleDeleted
from services.alerts.contract.rules import Rule, RuleResource
from services.alerts.domain import OwnedRule, RuleState, decide_create, decide_update, evolve, fold
from services.alerts.projections import RULES
from services.alerts.queries import may_see, present_rule
from services.alerts.settings import Settings
from services.alerts.store import AlertStore
from services.keys.contract.permissions import allows
from shared.bus import Caller, build_subject, retry_conflicts
from shared.clock import Clock, format_time
from shared.errors import not_found
from shared.projector import AppliedWaiter


class RuleCommands:
    """The commands of rules."""

    def __init__(self, store: AlertStore, waiter: AppliedWaiter, clock: Clock, settings: Settings) -> None:
        self._store = store
        self._waiter = waiter
        self._clock = clock
        self._settings = settings

    async def create(self, body: Rule, caller: Caller) -> RuleResource:
        """Create a rule; it sees all tenants' events when its maker may. Raises conflict, invalid.

        A retry under an Idempotency-Key answers as its first try did.
        """
        every_tenant = allows(caller.permissions, "tenants:all")

        async def attempt() -> RuleState:
            state = fold(await self._store.load_rule(body.name))
            event = decide_create(state, body, tenant=caller.tenant, every_tenant=every_tenant)
            now = self._clock.now()
            sequence = await self._store.append_rule(body.name, event, caller, now=now, after=state.sequence)
            return evolve(state, event, format_time(now), sequence)

        made = await self._store.load_made_rule(body.name, caller)
        return await self._present(fold(made) if made else await retry_conflicts(attempt))

    async def update(self, body: requests.PatchRule, caller: Caller) -> RuleResource:
        """Change what is given. Raises not_found, invalid."""

        async def attempt() -> RuleState:
            state, _ = await self._load(body.name, caller)
            event = decide_update(state, body.update)
            if event is None:
                return state
            now = self._clock.now()
            sequence = await self._store.append_rule(body.name, event, caller, now=now, after=state.sequence)
            return evolve(state, event, format_time(now), sequence)

        return await self._present(await retry_conflicts(attempt))

    async def delete(self, body: requests.RuleName, caller: Caller) -> requests.Done:
        """Delete a rule; its open alerts resolve. Raises not_found."""

        async def attempt() -> int:
            state, _ = await self._load(body.name, caller)
            event = AlertRuleDeleted(name=body.name)
            return await self._store.append_rule(body.name, event, caller, now=self._clock.now(), after=state.sequence)

        return requests.Done(applied=await self._wait(await retry_conflicts(attempt)))

    async def _load(self, name: str, caller: Caller) -> tuple[RuleState, OwnedRule]:
        state = fold(await self._store.load_rule(name)) if _is_token(name) else RuleState(None, 0)
        if state.owned is None or not may_see(state.owned.tenant, caller):
            raise not_found("alert rule")
        return state, state.owned

    async def _present(self, state: RuleState) -> RuleResource:
        assert state.owned is not None  # noqa: S101  (both commands leave a rule)
        return await present_rule(self._store, state.owned, applied=await self._wait(state.sequence))

    async def _wait(self, sequence: int) -> bool:
        return await self._waiter.wait(RULES, sequence, bound_seconds=self._settings.applied_wait_seconds)


def _is_token(text: str) -> bool:
    try:
        build_subject(text)
    except ValueError:
        return False
    return "." not in text
