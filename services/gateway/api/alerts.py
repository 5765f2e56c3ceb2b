"""/api/alerts: rules, the alerts that they fired, channels and deliveries."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from services.alerts.contract import requests
from services.alerts.contract.rules import Rule, RuleResource, UpdateRule
from services.gateway.api.routing import AskerDep, StrictRoute, needs

router = APIRouter(prefix="/api/alerts", tags=["Alerts"], route_class=StrictRoute)
RuleName = Annotated[str, Path(description="The rule's name.", examples=["many-errors"], max_length=63)]
ChannelName = Annotated[str, Path(description="The channel's name.", examples=["ops-hook"], max_length=63)]
AlertId = Annotated[str, Path(description="The alert's id.", examples=["alr_0aB1cD2eF3gH4iJ5k"], max_length=100)]
DeliveryId = Annotated[str, Path(description="The delivery's id.", examples=["dlv_0aB1cD2eF3gH4iJ5k"], max_length=100)]


@router.get("/configs", response_model_exclude={"items": {"__all__": {"applied"}}})
@needs("alerts:read")
async def list_rules(asker: AskerDep, query: Annotated[requests.ListRules, Query()]) -> requests.RulePage:
    """List rules, newest first."""
    return await asker.ask(requests.LIST_RULES, query)


@router.post("/configs", status_code=201, response_model_exclude={"applied"})
@needs("alerts:write")
async def create_rule(body: Rule, asker: AskerDep) -> RuleResource:
    """Create a rule; its filter is checked, and events count from now on."""
    return await asker.ask(requests.CREATE_RULE, body)


@router.get("/configs/{name}", response_model_exclude={"applied"})
@needs("alerts:read")
async def show_rule(name: RuleName, asker: AskerDep) -> RuleResource:
    """Show a rule."""
    return await asker.ask(requests.FIND_RULE, requests.RuleName(name=name))


@router.patch("/configs/{name}", response_model_exclude={"applied"})
@needs("alerts:write")
async def update_rule(name: RuleName, body: UpdateRule, asker: AskerDep) -> RuleResource:
    """Change what is given; what changes the meaning of the counts starts them anew."""
    return await asker.ask(requests.UPDATE_RULE, requests.PatchRule(name=name, update=body))


@router.delete("/configs/{name}", status_code=204)
@needs("alerts:write")
async def delete_rule(name: RuleName, asker: AskerDep) -> None:
    """Delete a rule; its open alerts resolve."""
    await asker.ask(requests.DELETE_RULE, requests.RuleName(name=name))


@router.post("/configs/{name}/test", status_code=202)
@needs("alerts:write")
async def test_rule(name: RuleName, asker: AskerDep) -> requests.Deliveries:
    """Send a test notification to the rule's channels."""
    return await asker.ask(requests.TEST_RULE, requests.RuleName(name=name))


@router.get("/active")
@needs("alerts:read")
async def list_active(asker: AskerDep, query: Annotated[requests.ListActive, Query()]) -> requests.AlertPage:
    """List the alerts that are not resolved, newest first."""
    return await asker.ask(requests.LIST_ALERTS, requests.ListAlerts(**query.model_dump(), active=True))


@router.get("/history")
@needs("alerts:read")
async def list_history(asker: AskerDep, query: Annotated[requests.ListHistory, Query()]) -> requests.AlertPage:
    """List all alerts, newest first."""
    return await asker.ask(requests.LIST_ALERTS, requests.ListAlerts(**query.model_dump()))


@router.get("/channels")
@needs("alerts:read")
async def list_channels(asker: AskerDep, query: Annotated[requests.ListChannels, Query()]) -> requests.ChannelPage:
    """List channels, newest first; secrets are never shown."""
    return await asker.ask(requests.LIST_CHANNELS, query)


@router.post("/channels", status_code=201)
@needs("alerts:write")
async def create_channel(body: requests.Channel, asker: AskerDep) -> requests.ChannelResource:
    """Create a channel."""
    return await asker.ask(requests.CREATE_CHANNEL, body)


@router.patch("/channels/{name}")
@needs("alerts:write")
async def update_channel(name: ChannelName, body: requests.UpdateChannel, asker: AskerDep) -> requests.ChannelResource:
    """Change what is given; several secrets sign side by side while a receiver moves to a new one."""
    return await asker.ask(requests.UPDATE_CHANNEL, requests.PatchChannel(name=name, update=body))


@router.delete("/channels/{name}", status_code=204)
@needs("alerts:write")
async def delete_channel(name: ChannelName, asker: AskerDep) -> None:
    """Delete a channel."""
    await asker.ask(requests.DELETE_CHANNEL, requests.ChannelName(name=name))


@router.get("/deliveries")
@needs("alerts:read")
async def list_deliveries(asker: AskerDep, query: Annotated[requests.ListDeliveries, Query()]) -> requests.DeliveryPage:
    """List deliveries to channels, newest first."""
    return await asker.ask(requests.LIST_DELIVERIES, query)


@router.post("/deliveries/{delivery_id}/replay", status_code=202)
@needs("alerts:write")
async def replay_delivery(delivery_id: DeliveryId, asker: AskerDep) -> requests.Delivery:
    """Send a delivery again: the same body under the same webhook-id."""
    return await asker.ask(requests.REPLAY, requests.DeliveryId(delivery_id=delivery_id))


@router.get("/{alert_id}")
@needs("alerts:read")
async def show_alert(alert_id: AlertId, asker: AskerDep) -> requests.ExplainedAlert:
    """Show an alert: what it counted, on which events, and whom it told."""
    return await asker.ask(requests.FIND_ALERT, requests.AlertId(alert_id=alert_id))


@router.post("/{alert_id}/acknowledge")
@needs("alerts:write")
async def acknowledge_alert(
    alert_id: AlertId, asker: AskerDep, body: requests.Acknowledge | None = None
) -> requests.Alert:
    """Take an alert on; with `until` it counts as fired again after that."""
    command = requests.AcknowledgeAlert(alert_id=alert_id, body=body or requests.Acknowledge())
    return await asker.ask(requests.ACKNOWLEDGE, command)


@router.post("/{alert_id}/resolve")
@needs("alerts:write")
async def resolve_alert(alert_id: AlertId, asker: AskerDep) -> requests.Alert:
    """Resolve an alert by hand; its counts start anew."""
    return await asker.ask(requests.RESOLVE, requests.AlertId(alert_id=alert_id))
