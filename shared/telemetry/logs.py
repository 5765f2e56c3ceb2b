"""JSON logs by structlog: time, level, service, module, message, trace_id, and whatever was bound; never a secret."""

import logging
import sys
from typing import Any, TextIO

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.settings import CommonSettings

_SECRET_WORDS = ("secret", "password", "token", "authorization", "api_key", "apikey", "seed", "pepper")
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def _add_trace(_: WrappedLogger, __: str, entry: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        entry["trace_id"] = f"{context.trace_id:032x}"
    return entry


def _hide_secrets(_: WrappedLogger, __: str, entry: EventDict) -> EventDict:
    for name in entry:
        if any(word in name.lower() for word in _SECRET_WORDS):
            entry[name] = "(hidden)"
    return entry


def configure_logs(service: str, settings: CommonSettings, stream: TextIO = sys.stdout) -> None:
    """Send every log line of the process, foreign libraries' included, to stdout in one shape."""

    def add_service(_: WrappedLogger, __: str, entry: EventDict) -> EventDict:
        entry["service"] = service
        return entry

    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        add_service,
        _add_trace,
        _hide_secrets,
    ]
    last: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if settings.log_format == "json":
        last += [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(),
        ]
    else:
        last.append(structlog.dev.ConsoleRenderer())
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.log_level]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=last))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_LEVELS[settings.log_level])
    for noisy in ("nats.aio.client", "uvicorn.access", "faststream", "httpx", "_granian"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
