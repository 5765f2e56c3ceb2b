"""Settings: one frozen class a service, read from the environment once, in `__main__`, and passed down.

A setting's variable is its name in capitals, without prefix. What is wrong is said in one sentence, exit code 78.
"""

import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

EXIT_CONFIGURATION = 78  # EX_CONFIG of sysexits.h


class CommonSettings(BaseSettings):
    """What every process needs to know."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    nats_url: Annotated[str, Field(description="Where NATS listens; several servers are parted by commas.")] = (
        "nats://127.0.0.1:4222"
    )
    nats_seed_file: Annotated[Path | None, Field(description="The nkey seed file of this process's NATS user.")] = None
    streams_mode: Annotated[
        Literal["create", "verify"],
        Field(description="Whether streams are created when they miss, or only checked, for an operator owns them."),
    ] = "create"
    stream_replicas: Annotated[int, Field(ge=1, le=5, description="Replicas of each stream.")] = 1
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="The lowest level that is written.")
    ] = "info"
    log_format: Annotated[Literal["json", "console"], Field(description="How log lines look.")] = "json"
    otel_exporter_otlp_endpoint: Annotated[
        str | None, Field(description="Where traces go by OTLP over HTTP; none are exported when it is empty.")
    ] = None
    failpoints: Annotated[
        str, Field(description="For tests only: labelled points at which this process is to die, stop or fail.")
    ] = ""
    failpoints_log: Annotated[Path | None, Field(description="For tests only: where fired failpoints are noted.")] = (
        None
    )
    bind_host: Annotated[str, Field(description="The address that this process listens on.")] = "127.0.0.1"


class StoreSettings(CommonSettings):
    """What a process with a Postgres store of its own needs to know besides."""

    database_url: Annotated[str, Field(description="This service's own Postgres database.")] = "postgresql:///"
    database_pool_size: Annotated[int, Field(ge=2, le=200, description="The most connections to Postgres.")] = 8
    lease_seconds: Annotated[
        float,
        Field(ge=0.5, le=60, description="How long a silent writer keeps its projection before a standby takes it."),
    ] = 3.0
    applied_wait_seconds: Annotated[
        float, Field(ge=0.05, le=30, description="How long a command waits until its effect can be read.")
    ] = 2.0


S = TypeVar("S", bound=BaseSettings)


def load_settings(settings_class: type[S]) -> S:
    """Return the settings of the environment; on `--check-config` say so and leave.

    Leaves with one sentence and exit code 78 when a value cannot be.
    """
    try:
        settings = settings_class()
    except ValidationError as error:
        refuse(error)
    if "--check-config" in sys.argv[1:]:
        print(f"{settings_class.__name__}: the configuration is sound.")  # noqa: T201  (the answer of the switch)
        sys.exit(0)
    return settings


def refuse(error: ValidationError) -> NoReturn:
    """Say which setting is wrong, never its value (it may be a secret), and leave with exit code 78."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"]).upper()
    sys.stderr.write(f"The setting {name} is wrong: {first['msg']}.\n")
    sys.exit(EXIT_CONFIGURATION)
