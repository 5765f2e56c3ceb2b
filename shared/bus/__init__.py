"""NATS and JetStream: connect, declare streams, append to and read the event log, request and reply.

Guarantee: what `EventLog.append` returned for is stored, once, in one piece; what it refused left nothing behind.
"""

from shared.bus.connection import connect, connection_options
from shared.bus.event_log import (
    Append,
    EventLog,
    Expectation,
    Stored,
    WrongExpectationError,
    build_event,
    retry_conflicts,
)
from shared.bus.rpc import Caller, Operation, RpcClient
from shared.bus.streams import StreamSpec, declare_streams, find_event_stream, find_incarnation, wait_for_stream
from shared.bus.subjects import build_subject

__all__ = [
    "Append", "Caller", "EventLog", "Expectation", "Operation", "RpcClient", "Stored", "StreamSpec",
    "WrongExpectationError", "build_event", "build_subject", "connect", "connection_options", "declare_streams",
    "find_event_stream", "find_incarnation", "retry_conflicts", "wait_for_stream",
]  # fmt: skip
