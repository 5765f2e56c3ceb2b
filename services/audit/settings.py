"""What the audit service needs to know."""

from typing import Annotated

from pydantic import Field

from shared.service import ServiceSettings


class Settings(ServiceSettings):
    """Settings of `python -m services.audit`."""

    external_tenant: Annotated[
        str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", description="The tenant of events published over NATS.")
    ] = "default"
    stream_followers: Annotated[int, Field(ge=1, le=10_000, description="The most live tails at once.")] = 200
