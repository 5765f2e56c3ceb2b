"""What the keys service needs to know."""

from typing import Annotated

from pydantic import Field, SecretStr

from shared.service import ServiceSettings


class Settings(ServiceSettings):
    """Settings of `python -m services.keys`."""

    pepper: Annotated[SecretStr, Field(min_length=32, description="The secret under which keys are HMACed (hex).")]
    admin_key: Annotated[
        SecretStr | None, Field(description="The first administrator's key; made an event once, when it is set.")
    ] = None
    key_environment: Annotated[
        str, Field(pattern=r"^[a-z0-9]{1,10}$", description="The environment that stands in new keys: gk_<env>_….")
    ] = "live"
    key_expiry_days: Annotated[
        int, Field(ge=0, le=36500, description="Days until a new key expires when nothing else is said; 0 = never.")
    ] = 0
    proxy_url: Annotated[
        str, Field(description="Where the proxy can be reached, for the usage example of a new key.")
    ] = "http://127.0.0.1:8645"
