"""What the audit service needs to know."""

from typing import Annotated

from pydantic import Field

from shared.service import ServiceSettings


class Settings(ServiceSettings):
    """Settings of `python -m services.audit`."""

    external_tenant: Annotated[
        str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", description="The tenant of events published over NATS.")
    ] = "default"
    stream_retention_hours: Annotated[
        int, Field(ge=0, le=8784, description="How long TRAFFIC and EXTERNAL keep what all of their readers have read.")
    ] = 168
    purge_seconds: Annotated[float, Field(ge=0.1, le=86400, description="How often they are purged.")] = 300
    stream_followers: Annotated[int, Field(ge=1, le=10_000, description="The most live tails at once.")] = 200
