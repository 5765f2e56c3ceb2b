"""What identifies a request: its id, its trace, and the address it came from."""

import ipaddress
import random
import re
from functools import lru_cache

from shared.ids import new_uuid7

_LONGEST_HOST = 255
_HOST = re.compile(r"[A-Za-z0-9._:\[\]%-]*")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")


def pick_request_id(given: str | None) -> str:
    """Return the caller's X-Request-Id when it is well-formed, else a new UUIDv7."""
    return given if given and _REQUEST_ID.fullmatch(given) else new_uuid7()


def continue_trace(given: str | None) -> str:
    """Return a W3C traceparent for our own span: of the caller's trace when there is one, else of a new one."""
    fresh = random.randbytes(24).hex()  # noqa: S311  (identifiers, not secrets: the system's source costs a system call)
    match = _TRACEPARENT.fullmatch(given) if given else None
    if match:
        return f"00-{match[1]}-{fresh[32:]}-{match[2]}"
    return f"00-{fresh[:32]}-{fresh[32:]}-01"


def is_host(text: str | None) -> bool:
    """Say whether a Host is one that can be quoted onward (RFC 3986, section 3.2.2); absent is fine."""
    return text is None or (len(text) <= _LONGEST_HOST and _is_host(text))


@lru_cache(maxsize=1024)
def _is_host(text: str) -> bool:
    return _HOST.fullmatch(text) is not None


class AddressFinder:
    """Finds the client's address; X-Forwarded-For is believed only from trusted proxies, read from the right."""

    def __init__(self, trusted: str) -> None:
        networks = tuple(part.strip() for part in trusted.split(",") if part.strip())
        self._networks = tuple(ipaddress.ip_network(network, strict=False) for network in networks)

    @property
    def is_configured(self) -> bool:
        """Whether any proxy is trusted at all."""
        return bool(self._networks)

    def find(self, peer: str, forwarded_for: str | None) -> str:
        """Return the address without port. `peer` is `address:port` of the connection."""
        address = strip_port(peer)
        if not self._networks or not forwarded_for or not self._is_trusted(address):
            return address
        for hop in reversed([part.strip() for part in forwarded_for.split(",")]):
            try:
                ipaddress.ip_address(hop)
            except ValueError:
                break
            address = hop
            if not self._is_trusted(hop):
                break
        return address

    def _is_trusted(self, address: str) -> bool:
        return any(ipaddress.ip_address(address) in network for network in self._networks)


@lru_cache(maxsize=65536)
def strip_port(peer: str) -> str:
    """Return the address of `address:port`, IPv6 in brackets or not."""
    return peer.rpartition(":")[0].strip("[]") or peer
