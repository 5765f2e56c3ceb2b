"""From a credential to a principal, in memory.

One public answer for absent, unknown, wrong, revoked and expired: the true reason goes into the record alone, and every
refusal costs one HMAC. A credential that was found right is known again by its SHA-256 for as long as the view holds the
very entry that it was checked against: any change to the key makes a new entry, and the credential is checked anew.
"""

import hashlib
import ipaddress
import time
from dataclasses import dataclass
from functools import lru_cache

from services.gateway.problems import Problem, build_problem
from services.gateway.view import KeyView, View
from services.keys.contract.credentials import PREFIX, compute_mac, is_same_mac, read_key_id

_NO_MAC = "0" * 64
_MOST_VERIFIED = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Principal:
    """Whoever a request acts for. `sunset` is set when an old secret in its grace was used (seconds since the epoch).

    Compared by identity, which makes it cheap to look things up by.
    """

    name: str
    tenant: str
    permissions: tuple[str, ...]
    held: frozenset[str]
    key_id: str | None = None
    rate_limit: int = 0
    sunset: float | None = None
    owner: str | None = None

    def may(self, needed: str) -> bool:
        """Say whether the principal holds a permission."""
        if "*" in self.held or needed in self.held:
            return True
        if needed.startswith("proxy:"):
            return "proxy:*" in self.held
        return needed.endswith(":own") and needed.removesuffix(":own") in self.held


ANONYMOUS = Principal("anonymous", "default", (), frozenset())


class RefusedError(Exception):
    """The request ends here: with what problem, why (for the record), and as which kind of record."""

    def __init__(self, problem: Problem, *, reason: str, event_type: str, principal: Principal = ANONYMOUS) -> None:
        super().__init__(reason)
        self.problem = problem
        self.reason = reason
        self.event_type = event_type
        self.principal = principal


def unauthenticated(reason: str) -> RefusedError:
    """Return the one refusal of a request without a valid credential."""
    problem = build_problem("unauthenticated", "A valid credential is needed.")
    return RefusedError(problem, reason=reason, event_type="auth_failed")


class Authenticator:
    """Checks keys against the view."""

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper
        self._verified: dict[bytes, tuple[KeyView, Principal]] = {}

    def authenticate(self, view: View, key: str, ip_address: str | None) -> Principal:
        """Return the key's principal. Raises RefusedError: unauthenticated, or ip_not_allowed (not asked when None)."""
        digest = hashlib.sha256(key.encode("ascii", "replace")).digest()
        found, principal = self._verified.get(digest) or self._verify(view, key, digest)
        if view.keys.get(found.key_id) is not found:
            found, principal = self._verify(view, key, digest)
        now = time.time()
        if principal.sunset is not None and principal.sunset <= now:
            raise unauthenticated("rotated")
        if found.expires_at is not None and found.expires_at <= now:
            raise unauthenticated("expired")
        if found.allowed_ips and ip_address is not None and not is_allowed(found.allowed_ips, ip_address):
            problem = build_problem("ip_not_allowed", "This key may not be used from this address.")
            raise RefusedError(problem, reason="ip_not_allowed", event_type="policy_denied", principal=principal)
        return principal

    def _verify(self, view: View, key: str, digest: bytes) -> tuple[KeyView, Principal]:
        """Return the view's entry and the principal of a key, and keep them. Raises RefusedError."""
        key_id = read_key_id(key)
        found = view.keys.get(key_id) if key_id else None
        mac = compute_mac(self._pepper, key if key_id else "")
        if found is None:
            is_same_mac(mac, _NO_MAC)
            raise unauthenticated("unknown" if key_id else "malformed")
        sunset = None
        if not is_same_mac(mac, found.mac):
            if not found.previous_mac or not is_same_mac(mac, found.previous_mac):
                raise unauthenticated("wrong")
            sunset = found.previous_valid_until or 0.0
        if found.revoked:
            raise unauthenticated("revoked")
        if len(self._verified) >= _MOST_VERIFIED:
            self._verified.clear()
        known = self._verified[digest] = (found, _build_principal(found, sunset))
        return known


def _build_principal(found: KeyView, sunset: float | None) -> Principal:
    return Principal(
        found.principal,
        found.tenant,
        found.permissions,
        found.held,
        found.key_id,
        found.rate_limit,
        sunset,
        found.owner,
    )


@lru_cache(maxsize=65536)
def is_allowed(networks: tuple[str, ...], ip_address: str) -> bool:
    """Say whether an address lies in one of the networks."""
    address = ipaddress.ip_address(ip_address)
    return any(address in ipaddress.ip_network(network) for network in networks)


def is_own(value: str) -> bool:
    """Say whether a header's value is a credential of this house: it is for nobody behind it."""
    return value.startswith(PREFIX) or (value[:7].lower() == "bearer " and value[7:].strip().startswith(PREFIX))


def pick_credential(api_key: str | None, authorization: str | None) -> tuple[str | None, str | None]:
    """Return (credential, the header it came in): X-API-Key when present, else a Bearer that is one of ours."""
    if api_key is not None:
        return api_key, "x-api-key"
    if authorization and authorization[:7].lower() == "bearer ":
        token = authorization[7:].strip()
        if token.startswith(PREFIX):
            return token, "authorization"
    return None, None
