"""The upstream side of the proxy behind a small port: `UpstreamClient.send` and the `UpstreamResponse` it returns.

By hand over httptools, for libraries cost two to eighty times as much a request (docs, decision 0004); its contract suite
runs it against hostile upstreams.
"""

from services.gateway.upstream.client import UpstreamClient
from services.gateway.upstream.messages import (
    UpstreamFailedError,
    UpstreamRequest,
    UpstreamResponse,
    UpstreamTimeoutError,
)

__all__ = ["UpstreamClient", "UpstreamFailedError", "UpstreamRequest", "UpstreamResponse", "UpstreamTimeoutError"]
