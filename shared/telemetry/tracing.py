"""OpenTelemetry traces that cross NATS: W3C trace context in message headers and in the events themselves.

Destinations are named by template, never by raw subject, so that their number stays bounded.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.settings import CommonSettings

_propagator = TraceContextTextMapPropagator()


def configure_tracing(service: str, settings: CommonSettings) -> None:
    """Make this process's spans; they are exported by OTLP only when an endpoint is set."""
    provider = TracerProvider(resource=Resource.create({"service.name": f"gatehouse-{service}"}))
    if settings.otel_exporter_otlp_endpoint:
        endpoint = settings.otel_exporter_otlp_endpoint.rstrip("/") + "/v1/traces"
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)


@contextmanager
def consume(destination: str, traceparent: str | None, *, kind: SpanKind = SpanKind.CONSUMER) -> Iterator[Span]:
    """Run a block as a span that continues the given trace; `destination` is a template, not a raw subject."""
    parent = _propagator.extract({"traceparent": traceparent}) if traceparent else None
    tracer = trace.get_tracer("gatehouse")
    with tracer.start_as_current_span(
        f"process {destination}",
        context=parent,
        kind=kind,
        attributes={"messaging.system": "nats", "messaging.destination.template": destination},
    ) as span:
        yield span


def current_traceparent() -> str | None:
    """Return the W3C traceparent of the span that runs now; None outside of any."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")
