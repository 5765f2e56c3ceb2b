"""Paths as they are routed and forwarded: dot segments removed, so that no request can climb out of its prefix."""

from functools import lru_cache
from urllib.parse import quote

_UNENCODED = "/:@!$&'()*+,;=~-._"


_LONGEST_CACHED = 512  # caches hold what is common; a flood of long paths must not fill them


def normalise_path(path: str) -> str:
    """Return the decoded path without dot segments (RFC 3986, section 5.2.4); it always starts with a slash."""
    if not path.startswith("/"):
        path = f"/{path}"
    if "/." not in path and "\\" not in path:
        return path
    kept: list[str] = []
    for part in path.replace("\\", "/").split("/")[1:]:
        if part == "..":
            if kept:
                kept.pop()
        elif part != ".":
            kept.append(part)
    if path.endswith(("/.", "/..")):
        kept.append("")
    return "/" + "/".join(kept)


def encode_target(path: str, prefix: str) -> str:
    """Return the path for the upstream's request line, without the prefix (empty to keep it), percent-encoded.

    The HTTP server hands paths over decoded, so an encoded slash within a segment arrives as a slash (docs, decision 0004).
    """
    return _encode_cached(path, prefix) if len(path) <= _LONGEST_CACHED else _encode(path, prefix)


def _encode(path: str, prefix: str) -> str:
    rest = path[len(prefix) :] if prefix != "/" else path
    if not rest.startswith("/"):
        rest = f"/{rest}"
    return quote(rest, safe=_UNENCODED)


_encode_cached = lru_cache(maxsize=8192)(_encode)
