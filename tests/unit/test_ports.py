"""Ports that one start gives out: each to one part only."""

import socket

import pytest

from cli.stack.errors import PortTakenError
from cli.stack.ports import choose_port

_EVERY_FIFTH_LEFT = {port for port in range(1, 65_536) if port % 5}


def test_a_free_port_is_never_one_that_was_given_out() -> None:
    """The kernel may name a port again whose probe is closed: only every fifth is left here."""
    port = choose_port(0, remembered=None, name="nats", switch="", given=_EVERY_FIFTH_LEFT)
    assert port % 5 == 0


def test_a_remembered_port_that_was_given_out_is_passed_over() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        remembered = probe.getsockname()[1]
    assert choose_port(0, remembered=remembered, name="nats", switch="", given=[remembered]) != remembered


def test_one_port_for_two_parts_is_refused() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        wanted = probe.getsockname()[1]
    assert choose_port(wanted, remembered=None, name="api", switch="--port") == wanted
    with pytest.raises(PortTakenError, match="--proxy-port"):
        choose_port(wanted, remembered=None, name="proxy", switch="--proxy-port", given=[wanted])
