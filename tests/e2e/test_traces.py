"""One trace through the house: from the caller through the proxy, over NATS, into every reader, as a collector gets it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.e2e.eventually import eventually
from tests.fixtures.stack import run_stack

pytestmark = pytest.mark.xdist_group("faults")
_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_CALLER = "00f067aa0ba902b7"


@dataclass(frozen=True)
class Seen:
    """A span as it arrived, with the spans that it says it came from: its parent, and those it links to."""

    service: str
    name: str
    kind: int
    span_id: str
    causes: frozenset[str]
    attributes: dict[str, str] = field(compare=False)


class Collector:
    """An OTLP endpoint that keeps the spans that belong to one trace, or link to it."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.endpoint = ""

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {item.key: item.value.string_value for item in resource.resource.attributes}
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                causes = {link.span_id.hex() for link in span.links if link.trace_id.hex() == _TRACE}
                if span.trace_id.hex() == _TRACE:
                    causes.add(span.parent_span_id.hex())
                if causes:
                    said = {item.key: item.value.string_value or str(item.value.int_value) for item in span.attributes}
                    known = (names["service.name"], span.name, span.kind, span.span_id.hex())
                    self.spans.append(Seen(*known, frozenset(causes), said))

    def find(self, service: str, name: str) -> Seen | None:
        return next((span for span in self.spans if (span.service, span.name) == (service, name)), None)


@contextmanager
def run_collector() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    collector.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield collector
    finally:
        server.shutdown()


def test_a_request_and_a_command_are_one_trace_from_the_door_to_every_reader() -> None:
    with run_collector() as collector, run_stack(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint) as stack:
        headers = {"traceparent": f"00-{_TRACE}-{_CALLER}-01"}
        assert stack.proxy.get("/demo/traced", headers=headers).status_code == 200
        assert stack.api.post("/api/keys/generate", json={"name": "traced"}, headers=headers).status_code == 201

        door = eventually(lambda: collector.find("gatehouse-proxy", "GET demo"))
        assert (door.causes, door.kind) == ({_CALLER}, 2)
        assert door.attributes["http.response.status_code"] == "200"
        assert door.attributes["http.route"] == "demo"
        for service, reader in (("keys", "usage"), ("audit", "traffic"), ("alerts", "evaluate_traffic")):
            name = f"process TRAFFIC {reader}"
            span = eventually(lambda service=service, name=name: collector.find(f"gatehouse-{service}", name))
            assert door.span_id in span.causes

        command = eventually(lambda: collector.find("gatehouse-api", "POST"))
        assert command.causes == {_CALLER}
        known = eventually(lambda: collector.find("gatehouse-keys", "process evt.> directory"))
        assert command.span_id in known.causes
