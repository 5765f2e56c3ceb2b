"""The alerts service as a process of its own, with its own NATS rights, on real servers, killed where it hurts."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from standardwebhooks.webhooks import Webhook

from cli.stack.ports import choose_port
from services.alerts.contract import requests
from services.alerts.contract.rules import Rule, UpdateRule
from services.audit.contract.streams import DLQ, EXTERNAL
from services.gateway.contract.streams import TRAFFIC
from services.keys.contract.streams import EVENTS
from shared.bus import Caller, RpcClient, connect, declare_streams
from shared.errors import AppError
from shared.ids import new_uuid7
from shared.settings import CommonSettings
from shared.testing.waiting import wait_until

ADMIN = Caller(principal="user:admin", permissions=("admin",))
SECRETS = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
PROJECT = Path(__file__).parents[2]


class Receiver:
    """A webhook endpoint: answers with the next of its statuses, the last one for ever."""

    def __init__(self) -> None:
        self.statuses = [(200, "")]
        self.seen = []
        self.url = ""

    async def answer(self, reader, writer) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):  # a sender that was killed
            await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader, writer) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.seen.append((headers, body))
        status, extra = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        writer.write(f"HTTP/1.1 {status} X\r\n{extra}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()

    def events(self):
        return [orjson.loads(body)["type"] for _, body in self.seen]


class House:
    """One running service, and the ways to it."""

    def __init__(self, servers, folder: Path) -> None:
        self.servers, self.folder = servers, folder
        self.database_url = servers.new_database_url()
        self.port = choose_port(0, remembered=None, name="alerts", switch="")
        self.process = None
        self.number = 0

    def start(self, failpoints: str = "") -> None:
        environment = os.environ | {
            "NATS_URL": self.servers.nats_url, "NATS_SEED_FILE": str(self.servers.nats_seed("alerts")),
            "DATABASE_URL": self.database_url, "PORT": str(self.port), "SERVICE_TOKEN": "t" * 32,
            "ALERT_ALLOWED_NETWORKS": "127.0.0.0/8", "ALERT_TICK_SECONDS": "0.1", "ALERT_RETRY_SECONDS": "0.05",
            "ALERT_DELIVERY_ATTEMPTS": "3", "LEASE_SECONDS": "0.6", "FAILPOINTS": failpoints,
        }  # fmt: skip
        log = (self.folder / "alerts.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "services.alerts"], cwd=PROJECT, env=environment, stdout=log, stderr=log
        )

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(20)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["Doors"]:
        settings = CommonSettings(nats_url=self.servers.nats_url, nats_seed_file=self.servers.nats_seed())
        client = await connect(settings, name="tester")
        await declare_streams(client, (EVENTS, TRAFFIC, EXTERNAL, DLQ), mode="create")
        receiver = Receiver()
        server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
        receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
        try:
            yield Doors(self, client, receiver)
        finally:
            server.close()
            await client.close()


class Doors:
    """What one test does with the service."""

    def __init__(self, house, client, receiver) -> None:
        house.number += 1
        self.house, self.client, self.receiver = house, client, receiver
        self.name = f"rule-{house.number}"
        self.route = f"route-{house.number}"
        self.source = f"/gatehouse/gateway/test/0/{new_uuid7()}"
        self.sent = 0

    async def ask(self, operation, body, caller=ADMIN):
        async def attempt():
            try:
                return [await RpcClient(self.client).call(operation, body, caller)]
            except AppError as error:
                return [error] if error.code != "unavailable" else None

        answer = (await wait_until(attempt, bound_seconds=30))[0]
        if isinstance(answer, AppError):
            raise answer
        return answer

    async def new_rule(self, **fields):
        body = {
            "name": self.name, "type": "frequency", "severity": "high", "window_seconds": 60, "threshold": 3,
            "filter": f"event.route == '{self.route}'",
        }  # fmt: skip
        return await self.ask(requests.CREATE_RULE, Rule.model_validate(body | fields))

    async def new_channel(self, **fields):
        name = f"hook-{self.name}"
        await self.ask(
            requests.CREATE_CHANNEL, requests.Channel(name=name, url=self.receiver.url, secrets=SECRETS, **fields)
        )
        return name

    async def record(self, *, count=1, age_seconds=0, event_type="request_completed", **data):
        moment = datetime.now(UTC) - timedelta(seconds=age_seconds)
        batch = []
        for _ in range(count):
            self.sent += 1
            batch.append(
                {
                    "specversion": "1.0", "id": new_uuid7(), "source": self.source, "type": event_type,
                    "time": moment.isoformat(), "sourceseq": str(self.sent), "tenant": "default",
                    "data": {"route": self.route, "status_code": 200, "ip_address": "10.0.0.1"} | data,
                }
            )  # fmt: skip
        await self.client.jetstream().publish("traffic.test", orjson.dumps(batch))

    async def alerts(self, **query):
        page = await self.ask(requests.LIST_ALERTS, requests.ListAlerts(rule=self.name, **query))
        return page.items

    async def wait_for_states(self, *states):
        async def has():
            found = await self.alerts()
            return found if sorted(alert.state for alert in found) == sorted(states) else None

        return await wait_until(has, bound_seconds=30)

    async def topics(self):
        return [
            (message.subject, orjson.loads(message.data))
            for message in await self.read("ALERTS", f"alerts.*.*.{self.name}")
        ]

    async def read(self, stream, subject):
        subscription = await self.client.jetstream().subscribe(subject, stream=stream, ordered_consumer=True)
        messages = []
        try:
            while True:
                messages.append(await subscription.next_msg(timeout=0.3))
        except TimeoutError:
            return messages
        finally:
            await subscription.unsubscribe()

    async def facts(self, alert_id):
        stored = await self.read("EVENTS-1", f"evt.alerts.alert.{alert_id}.>")
        return [orjson.loads(message.data)["type"] for message in stored]


@pytest.fixture(scope="module")
def house(servers, tmp_path_factory) -> Iterator[House]:
    running = House(servers, tmp_path_factory.mktemp("alerts"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def doors(house) -> AsyncIterator[Doors]:
    if house.process.poll() is not None:
        house.start()
    async with house.connect() as opened:
        yield opened


async def test_a_burst_fires_on_nats_and_by_signed_webhook_and_resolves_by_time_alone(doors):
    channel = await doors.new_channel()
    await doors.new_rule(window_seconds=2, channels=[channel], group_by=["route"])
    await doors.record(count=3)
    (alert,) = await doors.wait_for_states("resolved")
    assert (alert.rule, alert.group, alert.value, alert.threshold) == (doors.name, {"route": doors.route}, 3.0, 3.0)

    async def told():
        return len(doors.receiver.seen) == 2

    await wait_until(told)
    headers, body = doors.receiver.seen[0]
    for secret in SECRETS:
        document = Webhook(secret).verify(body, headers)
        assert document["type"] == "alert_fired"
        assert document["data"]["alert_id"] == alert.alert_id
    assert doors.receiver.events() == ["alert_fired", "alert_resolved"]
    topics = await doors.topics()
    assert [subject for subject, _ in topics] == [
        f"alerts.fired.high.{doors.name}",
        f"alerts.resolved.high.{doors.name}",
    ]
    assert topics[0][1]["data"]["group"] == {"route": doors.route}
    assert await doors.facts(alert.alert_id) == ["alert_fired", "alert_resolved"]
    explained = await doors.ask(requests.FIND_ALERT, requests.AlertId(alert_id=alert.alert_id))
    assert explained.explanation.counts == {"total": 3, "matching": 3}
    assert len(explained.explanation.samples) == 3

    async def settled():
        shown = await doors.ask(requests.FIND_ALERT, requests.AlertId(alert_id=alert.alert_id))
        return {item.state for item in shown.explanation.notifications} == {"delivered"} and shown

    assert len((await wait_until(settled)).explanation.notifications) == 4


async def test_an_error_rate_needs_its_minimum(doors):
    await doors.new_rule(type="error_rate", threshold=0.5, minimum=4)
    await doors.record(count=3, status_code=500)
    await doors.record(count=1, status_code=403)
    (alert,) = await doors.wait_for_states("fired")
    assert alert.value == 0.75


async def test_failed_sign_ins_are_counted_by_address(doors):
    await doors.new_rule(type="auth_failures", threshold=2)
    await doors.record(count=2, event_type="auth_failed", status_code=401, ip_address="10.9.9.9")
    await doors.record(count=1, event_type="auth_failed", status_code=401, ip_address="10.9.9.8")
    (alert,) = await doors.wait_for_states("fired")
    assert alert.group == {"ip_address": "10.9.9.9"}


async def test_events_from_outside_count_and_cannot_say_who_they_are(doors):
    await doors.new_rule(filter=f"event.source == '/ext/demo' && event.details.run == '{doors.name}'", threshold=2)
    for number in range(2):
        event = {
            "specversion": "1.0", "id": f"{doors.name}-{number}", "source": "/somewhere", "type": "agent_run_completed",
            "time": datetime.now(UTC).isoformat(), "data": {"run": doors.name}, "actor": "user:somebody",
        }  # fmt: skip
        await doors.client.jetstream().publish("ext.demo.agent_run_completed", orjson.dumps(event))
        await doors.client.jetstream().publish("ext.demo.agent_run_completed", orjson.dumps(event))
    await doors.client.jetstream().publish("ext.demo.auth_failed", b"no event at all")
    (alert,) = await doors.wait_for_states("fired")
    assert alert.value == 2.0


async def test_acknowledging_and_resolving_by_hand(doors):
    await doors.new_rule()
    await doors.record(count=3)
    (alert,) = await doors.wait_for_states("fired")
    until = datetime.now(UTC) + timedelta(seconds=2)
    body = requests.Acknowledge(until=until, note="on it")
    acknowledged = await doors.ask(requests.ACKNOWLEDGE, requests.AcknowledgeAlert(alert_id=alert.alert_id, body=body))
    assert (acknowledged.state, acknowledged.acknowledged_by, acknowledged.note) == (
        "acknowledged",
        "user:admin",
        "on it",
    )
    await doors.wait_for_states("fired")
    resolved = await doors.ask(requests.RESOLVE, requests.AlertId(alert_id=alert.alert_id))
    assert resolved.resolved_by == "user:admin"
    assert await doors.ask(requests.RESOLVE, requests.AlertId(alert_id=alert.alert_id)) == resolved
    with pytest.raises(AppError, match="resolved"):
        await doors.ask(requests.ACKNOWLEDGE, requests.AcknowledgeAlert(alert_id=alert.alert_id))
    await doors.record(count=2)
    assert await doors.alerts(active=True) == []

    async def all_told():
        return await doors.facts(alert.alert_id) == ["alert_fired", "alert_acknowledged", "alert_resolved"]

    await wait_until(all_told)


async def test_a_second_firing_within_the_cooldown_is_in_the_history_and_on_no_topic(doors):
    await doors.new_rule(window_seconds=1, threshold=2)
    await doors.record(count=2)
    await doors.wait_for_states("resolved")
    await doors.record(count=2)
    again = next(alert for alert in await doors.wait_for_states("resolved", "resolved"))
    explained = await doors.ask(requests.FIND_ALERT, requests.AlertId(alert_id=again.alert_id))
    assert not explained.explanation.notified
    assert "cooldown" in explained.explanation.reason
    assert {item.state for item in explained.explanation.notifications} == {"suppressed"}
    assert len(await doors.topics()) == 2


async def test_a_webhook_is_tried_again_and_given_up_visibly(doors):
    channel = await doors.new_channel()
    await doors.new_rule(channels=[channel])
    doors.receiver.statuses = [(500, ""), (429, "Retry-After: 1\r\n"), (302, "Location: http://127.0.0.1/\r\n")]
    await doors.record(count=3)

    async def failed():
        page = await doors.ask(requests.LIST_DELIVERIES, requests.ListDeliveries(channel=channel, state="failed"))
        return page.items

    (delivery,) = await wait_until(failed)
    assert (delivery.attempts, delivery.last_status, delivery.next_attempt_at) == (3, 302, None)
    assert len({headers["webhook-id"] for headers, _ in doors.receiver.seen}) == 1
    assert len({body for _, body in doors.receiver.seen}) == 1

    async def told():
        return await doors.read("EVENTS-1", f"evt.alerts.delivery.{delivery.delivery_id}.>")

    assert orjson.loads((await wait_until(told))[0].data)["data"]["reason"] == "redirects are refused"
    doors.receiver.statuses = [(200, "")]
    await doors.ask(requests.REPLAY, requests.DeliveryId(delivery_id=delivery.delivery_id))

    async def delivered():
        page = await doors.ask(requests.LIST_DELIVERIES, requests.ListDeliveries(channel=channel, state="delivered"))
        return page.items

    await wait_until(delivered)
    assert len({headers["webhook-id"] for headers, _ in doors.receiver.seen}) == 1


async def test_an_endpoint_that_is_gone_switches_its_channel_off(doors):
    channel = await doors.new_channel()
    await doors.new_rule(channels=[channel])
    doors.receiver.statuses = [(410, "")]
    (queued,) = (await doors.ask(requests.TEST_RULE, requests.RuleName(name=doors.name))).items
    assert (queued.state, queued.transition) == ("queued", "test")

    async def disabled():
        page = await doors.ask(requests.LIST_CHANNELS, requests.ListChannels())
        return next(item for item in page.items if item.name == channel and not item.enabled)

    assert await wait_until(lambda: quietly(disabled))
    assert (await doors.ask(requests.FIND_RULE, requests.RuleName(name=doors.name))).missing_channels == [channel]
    assert doors.receiver.events() == ["alert_test"]


async def quietly(question):
    try:
        return await question()
    except StopIteration:
        return None
    except RuntimeError:
        return None


async def test_private_addresses_are_refused_when_a_channel_is_saved_and_when_it_is_used(doors):
    for host in ("10.0.0.1", "[::1]", "169.254.169.254"):
        with pytest.raises(AppError, match="private address"):
            await doors.ask(
                requests.CREATE_CHANNEL, requests.Channel(name=doors.name, url=f"http://{host}/", secrets=SECRETS)
            )


async def test_a_rule_changes_by_events_and_its_alerts_go_with_it(doors):
    made = await doors.new_rule()
    assert made.applied
    with pytest.raises(AppError, match="taken"):
        await doors.new_rule()
    with pytest.raises(AppError, match="line 1, column"):
        await doors.ask(requests.UPDATE_RULE, requests.PatchRule(name=doors.name, update=UpdateRule(filter="event.")))
    changed = await doors.ask(
        requests.UPDATE_RULE, requests.PatchRule(name=doors.name, update=UpdateRule(threshold=2, labels={"team": "a"}))
    )
    assert (changed.threshold, changed.labels, changed.window_seconds) == (2.0, {"team": "a"}, 60)
    stranger = Caller(principal="key:key_x", tenant="acme", permissions=("alerts:read", "alerts:write"))
    with pytest.raises(AppError, match="no such alert rule"):
        await doors.ask(requests.FIND_RULE, requests.RuleName(name=doors.name), stranger)
    await doors.record(count=2)
    await doors.wait_for_states("fired")
    await doors.ask(requests.DELETE_RULE, requests.RuleName(name=doors.name))
    await doors.wait_for_states("resolved")
    with pytest.raises(AppError, match="no such alert rule"):
        await doors.ask(requests.FIND_RULE, requests.RuleName(name=doors.name))
    assert (await doors.new_rule()).threshold == 3.0


@pytest.mark.parametrize(
    "failpoint",
    [
        "projector.before_commit=kill@2",
        "projector.before_ack=kill@2",
        "alerts.sent=kill@1",
        "alerts.webhook_sent=kill@1",
    ],
)
async def test_a_kill_at_any_point_loses_no_transition_and_doubles_none(doors, failpoint):
    channel = await doors.new_channel()
    await doors.new_rule(channels=[channel], group_by=["ip_address"], threshold=1)
    doors.house.stop(signal.SIGKILL)
    doors.house.start(failpoint)
    for number in range(20):
        await doors.record(ip_address=f"10.0.0.{number}")

    async def died():
        return doors.house.process.poll() is not None

    await wait_until(died, bound_seconds=30)
    doors.house.start()
    alerts = await doors.wait_for_states(*["fired"] * 20)

    async def told():
        return len({headers["webhook-id"] for headers, _ in doors.receiver.seen}) == 20

    await wait_until(told, bound_seconds=30)

    async def published():
        return await doors.topics() if len(await doors.topics()) >= 20 else None

    topics = await wait_until(published, bound_seconds=30)
    assert len({document["data"]["alert_id"] for _, document in topics}) == len(topics) == 20

    async def stored():
        return [await doors.facts(alert.alert_id) for alert in alerts[:5]]

    async def all_stored():
        return await stored() == [["alert_fired"]] * 5

    await wait_until(all_stored, bound_seconds=30)


def test_the_settings_are_checked_in_one_sentence():
    environment = os.environ | {"PORT": "1", "SERVICE_TOKEN": "t" * 32, "ALERT_ALLOWED_NETWORKS": "nonsense"}
    done = subprocess.run(
        [sys.executable, "-m", "services.alerts", "--check-config"], env=environment, capture_output=True, text=True,
        cwd=PROJECT, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 78
    assert "ALERT_ALLOWED_NETWORKS" in done.stderr
    assert json.dumps("nonsense") not in done.stderr
