"""The gateway's use of the recorder: opening it, reserving, and counting the answers that had no room for a record."""

import asyncio

from nats.aio.client import Client

from services.gateway.authenticate import RefusedError
from services.gateway.contract.streams import TRAFFIC
from services.gateway.problems import build_problem
from services.gateway.records import build_summary
from services.gateway.settings import GatewaySettings
from shared.bus import build_subject, declare_streams
from shared.ids import new_uuid7
from shared.recorder import Recorder, RecorderLimits

_SUMMARY_SECONDS = 1.0


def refuse_unrecorded() -> RefusedError:
    """Return the refusal of a request whose record finds no room, or is not durable; it is not recorded itself."""
    problem = build_problem("recorder_full", "The record of this request would find no room; try again shortly.")
    return RefusedError(problem, reason="recorder_full", event_type="")


async def open_recorder(client: Client, settings: GatewaySettings, worker: str) -> Recorder:
    """Declare the stream of records and start a recorder of a new boot."""
    await declare_streams(client, (TRAFFIC,), mode=settings.streams_mode, replicas=settings.stream_replicas)
    limits = RecorderLimits(
        memory_bytes=settings.recorder_memory_bytes,
        spool_bytes=settings.spool_max_bytes,
        ack_deadline_seconds=settings.ack_deadline_seconds,
    )
    recorder = Recorder(
        client,
        subject=build_subject("traffic", settings.gateway_name),
        source=f"/gatehouse/gateway/{settings.gateway_name}/{worker}/{new_uuid7()}",
        folder=settings.spool_folder,
        limits=limits,
    )
    await recorder.start()
    return recorder


class Admission:
    """Room in the recorder, taken before the work; refusals for want of it are counted and recorded as one summary."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._unrecorded = 0

    def reserve(self) -> None:
        """Set room for a record aside. Raises RefusedError recorder_full, which itself is not recorded."""
        if not self._recorder.reserve():
            self._unrecorded += 1
            raise refuse_unrecorded()

    async def summarise(self) -> None:
        """Record what could not be recorded, as soon as there is room again; runs until cancelled."""
        while True:
            await asyncio.sleep(_SUMMARY_SECONDS)
            if self._unrecorded and self._recorder.reserve():
                count, self._unrecorded = self._unrecorded, 0
                self._recorder.record(build_summary(count, "recorder_full", 503))
