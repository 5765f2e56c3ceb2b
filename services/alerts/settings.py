"""What the alerts service needs to know."""

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field

from shared.service import ServiceSettings


def _check_networks(value: str) -> str:
    for part in filter(None, value.split(",")):
        ipaddress.ip_network(part.strip(), strict=False)
    return value


class Settings(ServiceSettings):
    """Settings of `python -m services.alerts`."""

    alert_allowed_networks: Annotated[
        str,
        AfterValidator(_check_networks),
        Field(
            description="Private networks that webhooks may be sent to: CIDRs parted by commas; public ones always may."
        ),
    ] = ""
    alert_tick_seconds: Annotated[
        float, Field(ge=0.05, le=60, description="How often alerts are looked at while no event comes.")
    ] = 1.0
    alert_delivery_attempts: Annotated[
        int, Field(ge=1, le=100, description="How often a webhook is tried before it counts as failed.")
    ] = 12
    alert_retry_seconds: Annotated[
        float,
        Field(ge=0.01, le=3600, description="The wait after the first failed try; it grows fourfold up to an hour."),
    ] = 2.0
    alert_delivery_timeout_seconds: Annotated[
        float, Field(ge=0.1, le=120, description="How long one try of a webhook may take in all.")
    ] = 10.0
    alert_history_days: Annotated[
        int, Field(ge=1, le=3650, description="Days that resolved alerts and settled deliveries are kept.")
    ] = 90
