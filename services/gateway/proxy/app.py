"""The parts of the proxy and how they are joined."""

import asyncio
import gc
import signal

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from prometheus_client import start_http_server

from services.gateway.authenticate import Authenticator
from services.gateway.identity import AddressFinder
from services.gateway.limits import Limiter
from services.gateway.proxy.forward import Forwarder
from services.gateway.proxy.metrics import ProxyMetrics
from services.gateway.proxy.server import Proxy
from services.gateway.recording import Admission, open_recorder
from services.gateway.settings import ProxySettings
from services.gateway.upstream import UpstreamClient
from services.gateway.view_feed import ViewFeed
from shared.bus import connect
from shared.telemetry.logs import configure_logs
from shared.telemetry.tracing import configure_tracing
from shared.testing import failpoints

log = structlog.get_logger(__name__)
_BACKLOG = 1024
_COLLECT_AFTER = 50_000


async def serve(settings: ProxySettings) -> None:
    """Serve until SIGTERM or SIGINT; then stop accepting, finish what is under way, flush the records."""
    configure_logs("proxy", settings)
    configure_tracing("proxy", settings)
    failpoints.switch_on(settings.failpoints, settings.failpoints_log)
    client = await connect(settings, name="gateway")
    recorder = await open_recorder(client, settings, "proxy")
    feed = ViewFeed(client)
    admission = Admission(recorder)
    metrics = ProxyMetrics(feed)
    proxy = Proxy(
        feed=feed,
        authenticator=Authenticator(bytes.fromhex(settings.pepper.get_secret_value())),
        addresses=AddressFinder(settings.trusted_proxies),
        limiter=Limiter(),
        admission=admission,
        recorder=recorder,
        forwarder=Forwarder(UpstreamClient(), recorder, admission),
        metrics=metrics,
        settings=settings,
    )
    works = (feed.run(), admission.summarise(), _calm_collector(feed))
    tasks = [asyncio.create_task(work) for work in works]
    metrics_server, _ = start_http_server(settings.metrics_port, addr=settings.bind_host)
    server = Server(
        proxy, address=settings.bind_host, port=settings.port, interface=Interfaces.RSGI, log_enabled=False,
        websockets=False, backlog=_BACKLOG, http=HTTPModes.http1,
    )  # fmt: skip
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    await server.serve()
    await proxy.finish()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await recorder.close()
    metrics_server.shutdown()
    await client.close()
    log.info("stopped; every record is flushed")


async def _calm_collector(feed: ViewFeed) -> None:
    """Keep the garbage collector from going through everything that stays, which held requests up for 30 ms at a time.

    What was loaded before the first request is left out for good; what requests make dies by itself, cycles are rare.
    """
    gc.set_threshold(_COLLECT_AFTER)
    while feed.view is None:
        await asyncio.sleep(0.05)
    gc.collect()
    gc.freeze()
