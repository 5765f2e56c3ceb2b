"""What the two processes of the gateway need to know."""

import ipaddress
import socket
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from shared.settings import CommonSettings


def _check_networks(value: str) -> str:
    for part in filter(None, value.split(",")):
        ipaddress.ip_network(part.strip(), strict=False)
    return value


class GatewaySettings(CommonSettings):
    """Settings that proxy and api share."""

    port: Annotated[int, Field(ge=1, le=65535, description="Where this process listens.")]
    pepper: Annotated[SecretStr, Field(min_length=32, description="The secret under which keys are HMACed (hex).")]
    spool_folder: Annotated[Path, Field(description="Where records wait on disk while NATS is away.")]
    gateway_name: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9_-]{1,63}$", description="This gateway's token in subjects and sources.")
    ] = socket.gethostname().split(".")[0] or "gateway"
    view_max_age_seconds: Annotated[
        float, Field(ge=1, le=86400, description="How old the view may be before requests are refused with view_stale.")
    ] = 600
    recorder_memory_bytes: Annotated[int, Field(ge=1024 * 1024, description="Bound of the records held in memory.")] = (
        64 * 1024 * 1024
    )
    spool_max_bytes: Annotated[int, Field(ge=0, description="Bound of the spool on disk.")] = 1024 * 1024 * 1024
    ack_deadline_seconds: Annotated[
        float, Field(ge=0.01, le=60, description="How long an ack may take before records go to the spool.")
    ] = 0.25
    anonymous_rate_limit: Annotated[
        int, Field(ge=1, description="Requests a minute of one address without a credential.")
    ] = 100
    trusted_proxies: Annotated[
        str,
        Field(description="Networks whose X-Forwarded-For is believed, parted by commas."),
        AfterValidator(_check_networks),
    ] = ""


class ProxySettings(GatewaySettings):
    """Settings of `python -m services.gateway.proxy`."""

    metrics_port: Annotated[int, Field(ge=1, le=65535, description="Where the proxy's metrics are.")]


class ApiSettings(GatewaySettings):
    """Settings of `python -m services.gateway.api`."""

    service_token: Annotated[
        SecretStr, Field(min_length=16, description="What is shown to services for large answers.")
    ]
    keys_url: Annotated[str, Field(description="Where keys answers over HTTP.")] = "http://127.0.0.1:8651"
    audit_url: Annotated[str, Field(description="Where audit answers over HTTP.")] = "http://127.0.0.1:8652"
    alerts_url: Annotated[str, Field(description="Where alerts answers over HTTP.")] = "http://127.0.0.1:8653"
    backup_url: Annotated[str, Field(description="Where backup answers over HTTP.")] = "http://127.0.0.1:8654"
    max_body_bytes: Annotated[int, Field(ge=1024, description="The largest body that the api takes.")] = 8 * 1024 * 1024
