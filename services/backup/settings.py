"""What the backup service needs to know."""

import base64
import binascii
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from shared.service import ServiceSettings

_KEY_BYTES = 32


def _check_key(value: SecretStr) -> SecretStr:
    try:
        decoded = base64.urlsafe_b64decode(value.get_secret_value())
    except (binascii.Error, ValueError) as error:
        raise ValueError("must be urlsafe base64") from error
    if len(decoded) != _KEY_BYTES:
        raise ValueError(f"must be {_KEY_BYTES} bytes in urlsafe base64")
    return value


class Settings(ServiceSettings):
    """Settings of `python -m services.backup`."""

    backup_dir: Annotated[Path, Field(description="The folder that backups are written to.")]
    backup_key: Annotated[
        SecretStr,
        AfterValidator(_check_key),
        Field(description="The recovery key, 32 bytes in urlsafe base64: what backups are sealed and signed under."),
    ]
    backup_retention_days: Annotated[
        int, Field(ge=1, le=36500, description="Days until a recovery point that nothing depends on goes.")
    ] = 35
    enable_backup_compression: Annotated[bool, Field(description="Whether segments are compressed (zstd).")] = True
    enable_backup_encryption: Annotated[bool, Field(description="Whether segments are encrypted (AES-256-GCM).")] = True
    backup_incremental_seconds: Annotated[
        float, Field(ge=0, le=86400, description="Seconds between incremental backups; 0 takes none by itself.")
    ] = 30
    backup_full_hours: Annotated[
        float, Field(ge=0.01, le=24 * 365, description="Hours between full backups taken by themselves.")
    ] = 24
    backup_segment_bytes: Annotated[
        int, Field(ge=1024, le=64 * 1024 * 1024, description="The most plaintext in one segment.")
    ] = 16 * 1024 * 1024

    def read_key(self) -> bytes:
        """Return the recovery key's bytes."""
        return base64.urlsafe_b64decode(self.backup_key.get_secret_value())
