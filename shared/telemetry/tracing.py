"""OpenTelemetry traces that cross NATS: W3C trace context in message headers and in the events themselves.

Destinations are named by template, never by raw subject, so that their number stays bounded.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanContext, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.settings import CommonSettings

_tracer = trace.get_tracer("gatehouse")  # takes on the provider when one is set
_propagator = TraceContextTextMapPropagator()
_MOST_LINKS = 128
_exporting: list[tuple[BatchSpanProcessor, Resource]] = []


def configure_tracing(service: str, settings: CommonSettings) -> None:
    """Make this process's spans; they are exported by OTLP only when an endpoint is set."""
    provider = TracerProvider(resource=Resource.create({"service.name": f"gatehouse-{service}"}))
    if settings.otel_exporter_otlp_endpoint:
        endpoint = settings.otel_exporter_otlp_endpoint.rstrip("/") + "/v1/traces"
        processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint))
        provider.add_span_processor(processor)
        _exporting[:] = [(processor, provider.resource)]
    trace.set_tracer_provider(provider)


def note_request(
    name: str, traceparent: str, caller: str | None, *, seconds: float, attributes: Mapping[str, str | int]
) -> None:
    """Export the server span of a request that is over, if spans are exported and its trace is sampled.

    `traceparent` is the span's own, which went on to the upstream and into the record; `caller` the one that came in.
    Made afterwards and only for export: a live span costs more than all else that the proxy does for a request.
    """
    context = _read_context(traceparent)
    if not _exporting or context is None or not context.trace_flags.sampled:
        return
    processor, resource = _exporting[0]
    parent = _read_context(caller) if caller else None
    ended = time.time_ns()
    processor.on_end(
        ReadableSpan(
            name,
            context=context,
            parent=parent if parent and parent.trace_id == context.trace_id else None,
            resource=resource,
            attributes=attributes,
            kind=SpanKind.SERVER,
            start_time=ended - int(seconds * 1e9),
            end_time=ended,
        )
    )


def is_exporting() -> bool:
    """Whether spans leave this process at all."""
    return bool(_exporting)


def _read_context(traceparent: str) -> SpanContext | None:
    context = trace.get_current_span(_propagator.extract({"traceparent": traceparent})).get_span_context()
    return context if context.is_valid else None


@contextmanager
def consume(destination: str, traceparents: Iterable[str | None]) -> Iterator[Span]:
    """Run a block as a span that continues the first of the given traces, and links to the others of the batch.

    `destination` is a template, not a raw subject. Of more traces than a span may link to, the first are linked.
    """
    causes = list(islice(dict.fromkeys(filter(None, traceparents)), _MOST_LINKS if is_exporting() else 1))
    links = [Link(context) for context in map(_read_context, causes[1:]) if context]
    with _tracer.start_as_current_span(
        f"process {destination}",
        context=_propagator.extract({"traceparent": causes[0]}) if causes else None,
        kind=SpanKind.CONSUMER,
        attributes={"messaging.system": "nats", "messaging.destination.template": destination},
        links=links,
    ) as span:
        yield span


def current_traceparent() -> str | None:
    """Return the W3C traceparent of the span that runs now; None outside of any."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")
