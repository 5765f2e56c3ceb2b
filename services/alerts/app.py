"""The parts of alerts and how they are joined."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from faststream.asgi import AsgiFastStream

from services.alerts.channels.addresses import read_networks
from services.alerts.channels.webhook import WebhookSender
from services.alerts.commands import AlertCommands, ChannelCommands
from services.alerts.contract import requests, streams
from services.alerts.deliverer import Deliverer
from services.alerts.evaluator import Evaluator
from services.alerts.projections import build_projections
from services.alerts.queries import AlertQueries
from services.alerts.rule_commands import RuleCommands
from services.alerts.settings import Settings
from services.alerts.store import AlertStore
from services.alerts.ticker import Ticker
from shared.bus import EventLog, wait_for_stream
from shared.clock import SystemClock
from shared.projector import AppliedWaiter
from shared.service import Frame


def build_app(settings: Settings) -> AsgiFastStream:
    """Return the service."""
    frame = Frame("alerts", settings, __file__)
    allowed = read_networks(settings.alert_allowed_networks)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with frame.open([streams.ALERTS]):
            clock = SystemClock()
            store = AlertStore(frame.pool, EventLog(frame.client, await wait_for_stream(frame.client, "evt.>")))
            waiter = AppliedWaiter(frame.pool)
            rules = RuleCommands(store, waiter, clock, settings)
            commands = AlertCommands(store, clock)
            channels = ChannelCommands(store, clock, allowed)
            queries = AlertQueries(store)
            for operation, handler in (
                (requests.CREATE_RULE, rules.create),
                (requests.UPDATE_RULE, rules.update),
                (requests.DELETE_RULE, rules.delete),
                (requests.FIND_RULE, queries.find_rule),
                (requests.LIST_RULES, queries.list_rules),
                (requests.TEST_RULE, commands.test_rule),
                (requests.LIST_ALERTS, queries.list_alerts),
                (requests.FIND_ALERT, queries.find_alert),
                (requests.ACKNOWLEDGE, commands.acknowledge),
                (requests.RESOLVE, commands.resolve),
                (requests.CREATE_CHANNEL, channels.create),
                (requests.UPDATE_CHANNEL, channels.update),
                (requests.DELETE_CHANNEL, channels.delete),
                (requests.LIST_CHANNELS, queries.list_channels),
                (requests.LIST_DELIVERIES, queries.list_deliveries),
                (requests.REPLAY, commands.replay),
            ):
                frame.serve(operation, handler)
            frame.serve_projections()
            await waiter.start()
            evaluator = Evaluator()
            projectors = [frame.project(projection) for projection in build_projections(evaluator)]
            leader = next(item for item in projectors if item.projection.name == "evaluate_traffic")
            ticker = Ticker(evaluator, leader, pool=frame.pool, client=frame.client, clock=clock, settings=settings)
            sender = WebhookSender(allowed, timeout_seconds=settings.alert_delivery_timeout_seconds)
            frame.run(ticker.run())
            frame.run(Deliverer(store, frame.client, sender, clock=clock, settings=settings).run())
            yield
            await waiter.stop()
            await sender.close()

    return frame.build_app(lifespan)
