"""The parts of the api and how they are joined."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import fastapi_offline
import httpx
import structlog
from fastapi import FastAPI, Response
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from granian.constants import Interfaces
from granian.server.embed import Server

from services.gateway.api import alerts, audit, backups, config, diagnostics, events, keys, problem_errors, system
from services.gateway.api.middleware import GatehouseMiddleware
from services.gateway.api.openapi import describe
from services.gateway.api.tools import Tools
from services.gateway.authenticate import Authenticator
from services.gateway.identity import AddressFinder
from services.gateway.limits import Limiter
from services.gateway.recording import Admission, open_recorder
from services.gateway.settings import ApiSettings
from services.gateway.view_feed import ViewFeed
from shared.bus import RpcClient, connect
from shared.health import VERSION
from shared.telemetry.logs import configure_logs
from shared.telemetry.tracing import configure_tracing
from shared.testing import failpoints

log = structlog.get_logger(__name__)
_ASSETS = Path(fastapi_offline.__file__).parent / "static"


def build_app(settings: ApiSettings) -> FastAPI:
    """Return the application; `app.state.tools` is set while it runs."""
    app = FastAPI(title="Gatehouse", version=VERSION, docs_url=None, redoc_url=None, redirect_slashes=False)
    for module in (keys, config, events, audit, system, diagnostics):
        app.include_router(module.router)
    for router in (alerts.router, backups.router, backups.restores):
        app.include_router(router)
    problem_errors.install(app)
    describe(app)
    _add_docs(app)
    app.add_middleware(GatehouseMiddleware, owner=app, addresses=AddressFinder(settings.trusted_proxies))
    return app


def _add_docs(app: FastAPI) -> None:
    """Swagger UI and ReDoc with assets of our own: nothing is loaded from another host."""
    app.mount("/docs/assets", StaticFiles(directory=_ASSETS))

    @app.get("/docs", include_in_schema=False)
    async def show_swagger() -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Gatehouse",
            swagger_js_url="/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/docs/assets/swagger-ui.css",
            swagger_favicon_url="/docs/assets/favicon.png",
        )

    @app.get("/redoc", include_in_schema=False)
    async def show_redoc() -> Response:
        return get_redoc_html(
            openapi_url="/openapi.json",
            title="Gatehouse",
            redoc_js_url="/docs/assets/redoc.standalone.js",
            redoc_favicon_url="/docs/assets/favicon.png",
            with_google_fonts=False,
        )


@asynccontextmanager
async def open_tools(settings: ApiSettings) -> AsyncIterator[Tools]:
    """Connect, open the recorder, follow the view; close in reverse."""
    client = await connect(settings, name="gateway")
    recorder = await open_recorder(client, settings, "api")
    feed = ViewFeed(client)
    admission = Admission(recorder)
    tasks = [asyncio.create_task(feed.run()), asyncio.create_task(admission.summarise())]
    async with httpx.AsyncClient(trust_env=False, timeout=httpx.Timeout(10, read=None)) as http:
        yield Tools(
            settings=settings,
            client=client,
            rpc=RpcClient(client),
            http=http,
            feed=feed,
            recorder=recorder,
            admission=admission,
            authenticator=Authenticator(bytes.fromhex(settings.pepper.get_secret_value())),
            limiter=Limiter(),
        )
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await recorder.close()
    await client.close()


async def serve(settings: ApiSettings) -> None:
    """Serve until SIGTERM or SIGINT; then stop accepting, finish, flush the records."""
    configure_logs("api", settings)
    configure_tracing("api", settings)
    failpoints.switch_on(settings.failpoints, settings.failpoints_log)
    app = build_app(settings)
    async with open_tools(settings) as tools:
        app.state.tools = tools
        server = Server(
            app, address=settings.bind_host, port=settings.port, interface=Interfaces.ASGINL, log_enabled=False,
            websockets=False, backlog=1024,
        )  # fmt: skip
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        await server.serve()
    log.info("stopped; every record is flushed")
