"""Which addresses may be sent to: public ones, and the private ones that an operator named. Resolved once, then pinned.

A name is resolved here and the connection goes to the very address that was checked, so that a name that changes its
mind in between (DNS rebinding) reaches nothing.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class RefusedAddressError(ValueError):
    """An address that nothing may be sent to; the message names it."""


def read_networks(text: str) -> tuple[Network, ...]:
    """Return the networks of a list parted by commas. Raises ValueError."""
    return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


def is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    """Say whether an address may be sent to; an IPv4 address in the clothes of an IPv6 one is judged as what it is."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_allowed(inner, allowed)
    if any(address in network for network in allowed if network.version == address.version):
        return True
    return address.is_global and not address.is_multicast


def check_literal(host: str, allowed: Sequence[Network]) -> None:
    """Refuse a host that is itself a forbidden address; names are looked at when they are sent to."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return
    if not is_allowed(address, allowed):
        raise RefusedAddressError(f"{host} is a private address that ALERT_ALLOWED_NETWORKS does not name")


async def resolve_host(host: str, port: int, allowed: Sequence[Network]) -> str:
    """Return an address of the host that may be sent to. Raises RefusedAddressError, OSError when it has none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    for text in addresses:
        if is_allowed(ipaddress.ip_address(text.partition("%")[0]), allowed):
            return text
    raise RefusedAddressError(
        f"{host} is {', '.join(addresses[:3])}: private, and ALERT_ALLOWED_NETWORKS does not name it"
    )
