"""Permissions: ``<resource>:<action>``, bundles, and what a set of them allows.

Stored and returned as given; expanded only to decide.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

_PROXY = re.compile(r"proxy:(\*|[a-z0-9][a-z0-9_-]{0,62})")
RESOURCES = ("keys", "users", "config", "audit", "events", "alerts", "backups", "system")
_READ = frozenset(f"{resource}:read" for resource in RESOURCES) | {"proxy:*"}
_WRITE = _READ | {f"{resource}:write" for resource in RESOURCES} | {"events:publish"}
_BUNDLES = {"read": _READ, "write": _WRITE, "admin": frozenset({"*"})}
_SPECIAL = frozenset(
    {
        "keys:read:own", "keys:write:own", "audit:read:own", "audit:export", "audit:erase", "audit:verify",
        "events:publish", "backups:restore", "tenants:all", "*",
    }
)  # fmt: skip
_SINGLE = frozenset(f"{resource}:{action}" for resource in RESOURCES for action in ("read", "write"))


def is_known(permission: str) -> bool:
    """Say whether a permission or bundle exists; `proxy:<route>` does for every route name."""
    if permission in _BUNDLES or permission in _SINGLE or permission in _SPECIAL:
        return True
    return _PROXY.fullmatch(permission) is not None


@lru_cache(maxsize=4096)
def expand(permissions: tuple[str, ...]) -> frozenset[str]:
    """Return the single permissions that a list of permissions and bundles stands for."""
    expanded: set[str] = set()
    for permission in permissions:
        expanded |= _BUNDLES.get(permission, {permission})
    return frozenset(expanded)


def allows(permissions: tuple[str, ...], needed: str) -> bool:
    """Say whether the permissions allow one; a right to all covers the right to one's own."""
    held = expand(permissions)
    if "*" in held or needed in held:
        return True
    if needed.startswith("proxy:"):
        return "proxy:*" in held
    return needed.endswith(":own") and needed.removesuffix(":own") in held


def find_lacking(granter: tuple[str, ...], granted: Iterable[str]) -> str | None:
    """Return the first granted permission that the granter does not hold in full; nobody grants what they lack."""
    for permission in granted:
        for single in expand((permission,)):
            if not allows(granter, single):
                return permission
    return None
